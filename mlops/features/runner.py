"""dbt, run inside this process: the only module that imports it, and only when it is asked to run.

Starting dbt costs seconds, of which all but a third of one are reading the project; so the project is read once a
process and kept. It is read as for a database of no particular name, and given the real name before a run: else each
database would want a reading of its own, on disk, too.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from sqlalchemy.engine import URL

from mlops.embedded.ownership import others_only_read, require_own_folder
from mlops.exceptions import EmbeddedServerError, FeaturesError
from mlops.settings import load

if TYPE_CHECKING:
    from dbt.cli.main import dbtRunnerResult
    from dbt.contracts.graph.manifest import Manifest

_ONE_AT_A_TIME = Lock()  # dbt keeps its flags, its adapters and its log in globals
_ANY_DATABASE = "warehouse"
_QUIET = (
    "--quiet", "--no-print", "--log-level", "none", "--log-level-file", "none", "--no-write-json",
    "--no-send-anonymous-usage-stats", "--no-version-check",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Node:
    """One model that dbt built: its relation, the seconds from its first query to its last, rows where it has any."""

    relation: str
    seconds: float
    rows: int | None


def run(url: URL, *, select: Sequence[str] = (), full_refresh: bool = False) -> list[Node]:
    """Run `dbt run` on the database at `url` and return what was built, in order of completion.

    Raises FeaturesError, in one line or two, where a model fails or dbt cannot start.
    """
    arguments = [*_QUIET, "--no-populate-cache", "run", *_folders()]
    if select:
        arguments += ["--select", *select]
    if full_refresh:
        arguments += ["--full-refresh"]
    with _ONE_AT_A_TIME, others_only_read(), _environment(url):
        manifest = _manifest()
        _name_database(manifest, url.database or "")
        outcome = _dbt()(manifest=manifest).invoke(arguments)
    if not outcome.success:
        _go_on_with_interrupt(outcome)
        raise _failure(outcome)
    return [
        Node(
            relation=f"{result.node.schema}.{result.node.alias}",
            seconds=float(result.execution_time),
            rows=_rows(result.adapter_response) if result.node.config.materialized == "hypertable" else None,
        )
        for result in outcome.result.results
        if result.node.resource_type == "model"
    ]


def profile_environment(url: URL) -> dict[str, str]:
    """Return the variables that dbt_project/profiles.yml reads, for the database at `url`."""
    return {
        "FORECASTLE_DBT_HOST": url.host or _one(url.query.get("host")) or "127.0.0.1",
        "FORECASTLE_DBT_PORT": str(url.port or _one(url.query.get("port")) or 5432),
        "FORECASTLE_DBT_USER": url.username or _one(url.query.get("user")) or os.environ.get("PGUSER", "postgres"),
        "FORECASTLE_DBT_PASSWORD": url.password or os.environ.get("PGPASSWORD", ""),
        "FORECASTLE_DBT_DBNAME": url.database or "postgres",
        "FORECASTLE_DBT_SSLMODE": _one(url.query.get("sslmode")) or os.environ.get("PGSSLMODE", "prefer"),
    }


def views() -> list[str]:
    """Return the views that dbt makes, as `schema.relation`. Raises FeaturesError where the project cannot be read."""
    with _ONE_AT_A_TIME:
        nodes = _manifest().nodes.values()
    models = [node for node in nodes if node.resource_type == "model"]
    return [f"{model.schema}.{model.alias}" for model in models if model.config.materialized == "replaced_view"]


@cache
def _dbt() -> Any:  # noqa: ANN401 - the library has no types
    """Import dbt, without its search for where each of its flags is defined.

    It is for a warning that we do not print, and goes through the call stack and all loaded modules for each flag: half
    of a run in which nothing is new, in a process that has loaded Great Expectations as well.
    """
    from dbt.cli.main import dbtRunner
    from dbt_common.behavior_flags import BehaviorFlagRendered

    BehaviorFlagRendered._default_source = staticmethod(lambda: "dbt")  # type: ignore[method-assign]
    return dbtRunner


@cache
def _manifest() -> Manifest:
    """Return the project as dbt has read it; the next process reads from disk only what changed since."""
    with others_only_read(), _environment(URL.create("postgresql", database=_ANY_DATABASE)):
        outcome = _dbt()().invoke([*_QUIET, "parse", *_folders()])
    if not outcome.success:
        _go_on_with_interrupt(outcome)
        raise _failure(outcome)
    return outcome.result


def _name_database(manifest: Manifest, database: str) -> None:
    """Let every relation of the project be one of `database`."""
    for node in (*manifest.nodes.values(), *manifest.sources.values()):
        if node.database != database and getattr(node, "relation_name", None):
            node.relation_name = node.relation_name.replace(f'"{node.database}".', f'"{database}".', 1)
        node.database = database


def folder_of(project: str, home: Path) -> Path:
    """Return where dbt keeps what it read of `project`, a path, for the user whose folder is `home`.

    Each copy of the project has its own: dbt goes on from what it read the last time, and would mix two copies up.
    """
    return home / "dbt" / sha256(project.encode()).hexdigest()[:16]


@cache
def _folders() -> tuple[str, ...]:
    project = str(files("dbt_project"))
    place = folder_of(project, load().home)
    try:
        with others_only_read():
            place.parent.mkdir(parents=True, exist_ok=True)
            require_own_folder(place.parent)  # dbt reads again what it wrote there
            place.mkdir(exist_ok=True)
        usable = os.access(place, os.W_OK)
    except (OSError, EmbeddedServerError):
        usable = False
    if not usable:
        place = Path(tempfile.mkdtemp(prefix="forecastle-dbt-"))
    return (
        "--project-dir", project, "--profiles-dir", project,
        "--target-path", str(place / "target"), "--log-path", str(place / "logs"),
    )  # fmt: skip


@contextmanager
def _environment(url: URL) -> Iterator[None]:
    """Set the variables that profiles.yml reads, for as long as the block lasts."""
    values = {**profile_environment(url), "DO_NOT_TRACK": "1"}
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _one(value: str | tuple[str, ...] | None) -> str | None:
    return value[0] if isinstance(value, tuple) else value


def _rows(response: dict[str, Any]) -> int:
    return max(int(response.get("rows_affected") or 0), 0)


def _go_on_with_interrupt(outcome: dbtRunnerResult) -> None:
    """Raise KeyboardInterrupt where dbt caught one: the user wants us to end, too.

    Errors that dbt had after the interrupt do not matter, such as that its role may not terminate the sessions of its
    login. The server ends those when it sees that they have no client any more.
    """
    error = outcome.exception
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt from outcome.exception
        error = error.__cause__ or error.__context__


def _failure(outcome: dbtRunnerResult) -> FeaturesError:
    results = getattr(outcome.result, "results", None) or []
    for result in results:
        if result.status in ("error", "fail"):
            name = getattr(result.node, "name", "a hook")
            return FeaturesError(
                f"dbt could not build {name}: {_first_words(result.message)}. It is as it was before.", model=name
            )
    said = _first_words(str(outcome.exception)) if outcome.exception else "it gave no reason"
    return FeaturesError(f"dbt could not run: {said}.", model=None)


def _first_words(message: str | None) -> str:
    """Return what the database said, without the lines that dbt puts around it."""
    lines = [line.strip() for line in (message or "").splitlines()]
    told = [
        line for line in lines
        if line and not re.match(r"(Database|Compilation|Runtime|Parsing) Error in |compiled code at ", line)
    ]  # fmt: skip
    return " ".join(told)[:300].rstrip(".")
