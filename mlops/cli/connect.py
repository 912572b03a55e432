"""Which database a command works on: the one that the user names, else the embedded one, started where need be."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mlops.printable import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bar

    from mlops.embedded import Progress
    from mlops.settings import Settings
    from mlops.warehouse import Warehouse


_progress_is_shown = [True]


def show_progress(shown: bool) -> None:
    """Say whether the commands of this process show their progress."""
    _progress_is_shown[0] = shown


def progress_console() -> Console:
    """Return where progress is shown: standard error, or nowhere."""
    from rich.console import Console

    return Console(stderr=True, quiet=not _progress_is_shown[0])


def settings() -> Settings:
    """Return the settings as the environment has them now."""
    from mlops.settings import load  # takes as long to import as `--help` may take

    return load()


def named_url(database_url: str | None) -> str | None:
    """Return the URL that the user named: `--database-url`, else FORECASTLE_DATABASE_URL; None where neither is set."""
    return database_url or settings().database_url or None


def resolve_url(database_url: str | None, progress: Progress | None = None) -> str:
    """Return the URL of the database to work on, with its password; the embedded server is started where it is needed.

    `progress` is called with what is being done for that; without it a bar shows it. Raises EmbeddedServerError where
    it cannot be started.
    """
    named = named_url(database_url)
    if named:
        return named
    from mlops.embedded import ensure_running

    # While the server is down, any user of the machine may listen on its port. By this rule of libpq's no connection of
    # this process, or of the programs that it starts, sends the password to a server that asks for it in plain text.
    os.environ.setdefault("PGREQUIREAUTH", "scram-sha-256")
    if progress is not None:
        return ensure_running(settings(), progress)
    with shown_progress() as shown:
        return ensure_running(settings(), shown)


def open_warehouse(database_url: str | None = None, progress: Progress | None = None) -> Warehouse:
    """Return the warehouse to work on. The embedded database is given its tables at its first use.

    `progress` is that of `resolve_url`. Raises EmbeddedServerError where the embedded server cannot run; a server that
    the user named is not asked yet.
    """
    from mlops.warehouse import Warehouse

    warehouse = Warehouse(resolve_url(database_url, progress))
    if named_url(database_url) is None:
        _migrate_if_bare(warehouse)
    return warehouse


def open_as_worker(database_url: str | None, progress: Progress) -> Warehouse:
    """Return the warehouse as a daemon works on it: on the embedded server by the login that is worker and dbt.

    A server that the user names is entered by the login that the URL names. Raises as `open_warehouse` does.
    """
    warehouse = open_warehouse(database_url, progress)
    if named_url(database_url) is not None:
        return warehouse
    from mlops.domain import Role
    from mlops.embedded import embedded_server, role_url
    from mlops.warehouse import Warehouse

    warehouse.close()
    return Warehouse(role_url(embedded_server(settings()), Role.WORKER, progress))


@contextmanager
def shown_progress() -> Iterator[Progress]:
    """Show what the embedded server is doing as a bar on standard error, which vanishes at the end.

    Nothing is shown, or even loaded, while there is nothing to say. What it is doing may name a file: it is shown as it
    stands, brackets and all.
    """
    bars: list[Bar] = []

    def show(what: str, done: float | None) -> None:
        if not bars:
            bars.append(_bar())
        total = None if done is None else 1.0
        bars[0].update(bars[0].task_ids[0], description=printable(what), total=total, completed=done or 0.0)

    try:
        yield show
    finally:
        for bar in bars:
            bar.stop()


def _bar() -> Bar:
    from rich.progress import BarColumn, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    what = TextColumn("{task.description}", markup=False)
    columns = SpinnerColumn(), what, BarColumn(), TaskProgressColumn(), TimeElapsedColumn()
    bar = Bar(*columns, console=progress_console(), transient=True)
    bar.add_task("")
    bar.start()
    return bar


def _migrate_if_bare(warehouse: Warehouse) -> None:
    from sqlalchemy import text

    with warehouse.begin(role=None) as connection:
        table: str | None = connection.execute(text("SELECT to_regclass('public.alembic_version')")).scalar_one()
    if table is None:
        set_up(warehouse)


def set_up(warehouse: Warehouse) -> str:
    """Bring the tables up to date and, where that changed them, the views; return the revision of the tables.

    So whoever connects before the first bar has come in finds the analyst's views, without rows, and a migration that
    has to drop one leaves none missing.
    """
    from sqlalchemy import text

    from mlops.warehouse.migrate import current_revision, migrate

    before = current_revision(warehouse)
    revision = migrate(warehouse)
    with warehouse.begin(role=None) as connection:
        views: str | None = connection.execute(text("SELECT to_regclass('analytics.ml_forecasts')")).scalar_one()
    if views is None or revision != before:
        from mlops.features import VIEWS, build

        build(warehouse, select=None if views is None else VIEWS)
    return revision
