"""Great Expectations, run inside the warehouse: the one module that knows its API.

It is imported on first use, since that takes seconds, and one context serves the whole process. It reads through a
connection of its own that is held to the worker's role and to read-only transactions: it can change nothing, and no
table is copied out, since every expectation is a query that counts.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import URL, ExceptionContext

from mlops.checks.suites import ROW_COUNT, SQL
from mlops.domain import Role
from mlops.exceptions import WarehouseUnreachableError

_lock = threading.Lock()
_OPTIONS = (
    f"-c role={Role.WORKER.value} -c default_transaction_read_only=on -c TimeZone=UTC -c jit=off "
    "-c lock_timeout=600000 "
    "-c application_name=forecastle-checks"
)


@dataclass(frozen=True)
class Verdict:
    """What Great Expectations says of one expectation: whether it holds, or why it could not be looked at.

    `n` is the number of rows, for an expectation that counts them.
    """

    success: bool
    n: int | None = None
    error: str | None = None


@dataclass
class _Library:
    """What is kept between runs: the context, and the data source of the database that was checked last."""

    context: Any
    no_rows: type
    count_rows: type
    counted: dict[str, int]
    """The rows of the batch that was looked at last, by the name of the expectation that counts them."""
    sources: dict[str, Any] = field(default_factory=dict)
    batch: str = ""
    lost: BaseException | None = None
    """The first error that said that the database has gone, since `reading` began."""

    def source(self, url: URL) -> Any:  # noqa: ANN401 - the library has no types
        """Return the data source of the database at `url`, letting go of that of any other."""
        text = _connection(url)
        name = hashlib.sha256(text.encode()).hexdigest()[:16]
        if name not in self.sources:
            for other in list(self.sources):
                self.sources.pop(other)
                self.context.data_sources.delete(other)
            source = self.context.data_sources.add_postgres(name, connection_string=text)
            engine = source.get_execution_engine().engine
            event.listen(engine, "before_cursor_execute", self._only_the_columns, retval=True)
            for each in (engine, source.get_engine()):
                event.listen(each, "handle_error", self._note_a_loss)
            self.sources[name] = source
        return self.sources[name]

    def _only_the_columns(
        self, _connection: object, _cursor: object, statement: str, parameters: object, *_: object
    ) -> tuple[str, object]:
        """Spare the rows of a batch where the library runs its bare query: it does so to learn the columns' names."""
        return (f"{statement} LIMIT 0" if statement.strip() == self.batch else statement), parameters

    def _note_a_loss(self, context: ExceptionContext) -> None:
        """Remember an error of a connection that broke, or could not be made: the library turns all into text."""
        if self.lost is None and (context.is_disconnect or context.connection is None):
            self.lost = context.original_exception


@contextmanager
def reading(url: URL) -> Iterator[Any]:
    """Give the data source of the database at `url`; close its connections afterwards, so that none grows old.

    One at a time: the library keeps state of its own. Raises WarehouseUnreachableError where the database does not
    answer, or is lost in the block: nothing is known of the data then, neither good nor bad.
    """
    with _lock:
        library = _library()
        library.lost = None
        try:
            source = library.source(url)
        except Exception as error:  # the library tries a connection, and has its own words for what came of it
            raise _gone(url, error) from error
        try:
            yield source
        finally:
            source.get_execution_engine().engine.dispose()
            source.get_engine().dispose()


def validate(
    source: Any,  # noqa: ANN401 - the library has no types
    name: str,
    query: str,
    expectations: Sequence[tuple[str, str, Mapping[str, Any]]],
) -> dict[str, Verdict]:
    """Hold `expectations` (name, type, arguments) against the rows of `query`, as the asset `name` of `source`.

    Returns a verdict for each name, a failing one for what could not be run. Whatever the library raises is a verdict
    as well: a check that cannot run must not pass. Raises WarehouseUnreachableError where the database is gone.
    """
    try:
        results = _results(source, name, query, expectations)
    except Exception as error:  # the library raises whatever its parts raise; none of it may open the gate
        results = {each[0]: Verdict(success=False, error=_one_line(error)) for each in expectations}
    lost = _library().lost
    if lost is not None:
        raise _gone(source.get_engine().url, lost) from lost
    missing = Verdict(success=False, error="Great Expectations gave no result")
    return {each[0]: results.get(each[0], missing) for each in expectations}


def _results(
    source: Any,  # noqa: ANN401
    name: str,
    query: str,
    expectations: Sequence[tuple[str, str, Mapping[str, Any]]],
) -> dict[str, Verdict]:
    import great_expectations as gx
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    library = _library()
    library.batch = query
    if name in source.get_asset_names():
        source.delete_asset(name)
    batch = source.add_query_asset(name, query=query).add_batch_definition_whole_table(name).get_batch()
    wanted: list[Any] = []
    library.counted.clear()
    for label, kind, kwargs in expectations:
        meta = {"name": label}
        if kind == SQL:
            # the library reads braces as placeholders, and ours have been filled in
            text = str(kwargs["unexpected_rows_query"]).replace("{", "{{").replace("}", "}}")
            wanted.append(library.no_rows(unexpected_rows_query=text, meta=meta))
        elif kind == ROW_COUNT:
            wanted.append(library.count_rows(**kwargs, meta=meta))
        else:
            wanted.append(ExpectationConfiguration(type=kind, kwargs=dict(kwargs), meta=meta).to_domain_obj())
    # More than a yes or no costs a query for each column.
    suite = gx.ExpectationSuite(name=name, expectations=wanted)
    results = batch.validate(suite, result_format="BOOLEAN_ONLY").results
    names = [result.expectation_config.meta["name"] for result in results]
    return {each: _verdict(result, library.counted.get(each)) for each, result in zip(names, results, strict=True)}


def _verdict(result: Any, n: int | None) -> Verdict:  # noqa: ANN401
    error = _error(result.exception_info)
    if error is not None:
        return Verdict(success=False, error=error)
    return Verdict(success=result.success is True, n=n)


def _error(info: Any) -> str | None:  # noqa: ANN401
    """Return the message of what was raised, or None. The library gives one dictionary, or one per metric."""
    if not info:
        return None
    for each in (info, *(value for value in info.values() if isinstance(value, Mapping))):
        if each.get("raised_exception"):
            return _one_line(each.get("exception_message"))
    return None


def _gone(url: URL, error: BaseException) -> WarehouseUnreachableError:
    return WarehouseUnreachableError(
        f"The database {url.database} at {url.host or 'localhost'}:{url.port or 5432} went away during the check "
        f"({_one_line(error)}).\nNothing was kept of it: check again once the database answers."
    )


def _one_line(error: object) -> str:
    """Return the first line of a message and what it is about, without the SQL that the library repeats."""
    return " ".join(str(error).split("[SQL:")[0].split())[:300]


def _connection(url: URL) -> str:
    given = url.query.get("options", "")
    options = f"{given if isinstance(given, str) else ' '.join(given)} {_OPTIONS}".strip()
    return url.update_query_dict({"options": options}).render_as_string(hide_password=False)


@cache
def _library() -> _Library:
    """Import the library and make the context of this process: nothing on disk, no progress bars, no analytics."""
    # Before the import: it has a line to say on each of its functions.
    logging.getLogger("great_expectations").setLevel(logging.CRITICAL)
    import great_expectations as gx
    from great_expectations.compatibility import pydantic
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )
    from great_expectations.expectations.core import ExpectTableRowCountToBeBetween, UnexpectedRowsExpectation

    # Without stores of its own it would make a folder for a website of results that nobody looks at.
    in_memory = InMemoryStoreBackendDefaults(init_temp_docs_sites=False)
    context = gx.get_context(
        mode="ephemeral",
        project_config=DataContextConfig(store_backend_defaults=in_memory, analytics_enabled=False),
    )
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    # Nobody reads what it would save, as YAML in memory, with each batch: a tenth of the time of a day's checks.
    context.variables.save = lambda: None

    class ExpectNoRowsAtFault(UnexpectedRowsExpectation):  # type: ignore[misc]
        """UnexpectedRowsExpectation that runs its query once, to count, and takes SQL with its own batch in it."""

        metric_dependencies = ("unexpected_rows_query.row_count",)

        @pydantic.validator("unexpected_rows_query")  # type: ignore[untyped-decorator]
        def _validate_query(cls, query: str) -> str:  # noqa: N805 - pydantic's convention
            return query

        def _validate(self, metrics: dict[str, Any], *_: Any, **__: Any) -> dict[str, Any]:  # noqa: ANN401
            n = metrics["unexpected_rows_query.row_count"]
            return {"success": n == 0}

    counted: dict[str, int] = {}

    class ExpectCountedRows(ExpectTableRowCountToBeBetween):  # type: ignore[misc]
        """ExpectTableRowCountToBeBetween that keeps the count where only a yes or no is asked for."""

        def _validate(self, metrics: dict[str, Any], *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
            counted[self.meta["name"]] = int(metrics["table.row_count"])
            return super()._validate(metrics, *args, **kwargs)

    return _Library(context=context, no_rows=ExpectNoRowsAtFault, count_rows=ExpectCountedRows, counted=counted)
