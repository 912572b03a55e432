"""Run suites against the warehouse, keep what came of them, and say whether the data may be used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import product
from uuid import UUID, uuid4

from sqlalchemy import Connection, text

from mlops.checks import failing_rows, suites, validation
from mlops.checks.failing_rows import EVERY_SYMBOL
from mlops.checks.findings import CheckFindings, CheckResult
from mlops.checks.parameters import Parameters
from mlops.checks.quarantine import quarantine
from mlops.checks.suites import ROW_COUNT, SQL, Expectation, Suite, expected_of
from mlops.checks.validation import Verdict
from mlops.domain import DAILY, DAILY_SUITES, Role, Timeframe
from mlops.exceptions import ChecksError, FeaturesError, WarehouseError, WarehouseUnreachableError
from mlops.warehouse import Warehouse, sql
from mlops.warehouse.background import Answer, read_in_background, wait_a_moment
from mlops.warehouse.feature_sets import FeatureSet, read_feature_sets
from mlops.warehouse.label_sets import LabelSet, label_set_relations, read_label_set
from mlops.warehouse.timeframes import read_timeframe

TRAINING = ("market", "features", "labels", "training_set")
"""What must hold before a model is trained: integrity of all that it reads, and the leakage rules on its rows."""

BEGINNING = datetime(1900, 1, 1, tzinfo=UTC)
"""A moment before every bar: `since` for a check of the whole history."""

_SHOWN = 3

_BUILD = "Build them: `forecastle features build`"


def run(
    warehouse: Warehouse,
    names: Sequence[str],
    *,
    as_of: datetime,
    run_id: UUID | None = None,
    timeframe: str | None = None,
    since: datetime | None = None,
) -> CheckFindings:
    """Run the suites `names` on what was known at `as_of`; keep one row per expectation in monitoring.check_results.

    A failure for a few symbols puts these into quarantine (see `mlops.checks.quarantine`).

    `run_id` names the check run; where training_set is among the suites, it is the training run. `timeframe` is d1
    where none is given. Bars from `since` on are looked at, by default those of the last 30 sessions. A failing
    expectation does not raise: `gate` does. Raises ChecksError where a suite cannot be used, and
    WarehouseUnreachableError where the database does not answer, or no longer: nothing is kept then.
    """
    chosen = [suites.load(name) for name in names]
    return run_suites(
        warehouse, chosen, as_of=as_of, run_id=run_id or uuid4(), timeframe=timeframe or DAILY, since=since
    )


def daily(
    warehouse: Warehouse,
    as_of: datetime,
    timeframe: str = DAILY,
    *,
    suites: Sequence[str] = DAILY_SUITES,
    since: datetime | None = None,
) -> CheckFindings:
    """Run what must hold before a forecast as of `as_of`, or of that `suites`.

    On bars from `since` on, or the last 30 sessions (completeness: 250).
    """
    return run(warehouse, suites, as_of=as_of, timeframe=timeframe, since=since)


def training(warehouse: Warehouse, run_id: UUID, as_of: datetime) -> CheckFindings:
    """Run what must hold before training run `run_id` reads its rows of ml.training_rows, from the first of them on.

    Raises ChecksError where ml.runs has no such run.
    """
    with warehouse.begin(Role.WORKER) as connection:
        reach = connection.execute(sql("checks", "training_reach"), {"run_id": run_id}).one_or_none()
    if reach is None:
        raise ChecksError(f"There is no training run {run_id}.", run_id=run_id)
    return run(
        warehouse, TRAINING, as_of=as_of, run_id=run_id, timeframe=reach.timeframe, since=reach.first_ts or BEGINNING
    )


def run_suites(
    warehouse: Warehouse,
    chosen: Sequence[Suite],
    *,
    as_of: datetime,
    run_id: UUID,
    timeframe: str,
    since: datetime | None = None,
) -> CheckFindings:
    """Do what `run` does, for suites that are at hand."""
    with warehouse.begin(Role.WORKER) as connection:
        bars = read_timeframe(connection, timeframe)
        window = connection.execute(sql("checks", "window"), {"as_of": as_of, "calendar": bars.calendar}).one()
        read = {"run_id": run_id, "timeframe": timeframe}
        wanted = connection.execute(sql("checks", "sets_read"), read).all()
        feature_sets = _feature_sets(connection, [row.name for row in wanted if row.kind == "feature_set"])
        label_sets = _label_sets(connection, bars, [row.name for row in wanted if row.kind == "label_set"])
    parameters = Parameters(
        as_of=as_of,
        timeframe=bars,
        run_id=run_id,
        window_start=since or window.month_start,
        month_start=window.month_start,
        year_start=window.year_start,
        horizons=next((tuple(row.horizons) for row in wanted if row.horizons is not None), None),
    )
    results: list[CheckResult] = []
    asked = [each for suite in chosen for each in _asked(suite, parameters, feature_sets, label_sets)]
    queries = {
        (nth, name): failing_rows.fill(suspects.query, each.suite.batches[suspects.batch], each.parameters)
        for nth, each in enumerate(asked)
        if isinstance(each, _Asked)
        for name, suspects in each.suite.suspects.items()
    }
    with read_in_background(warehouse, Role.WORKER, queries) as answers, validation.reading(warehouse.url) as source:
        wait_a_moment(answers.values())
        verdicts: dict[int, dict[str, tuple[Verdict, str]]] = {}
        suspects = {
            nth: {name: answer for (of, name), answer in answers.items() if of == nth} for nth in range(len(asked))
        }
        # What needs no suspects, or has them already, is looked at while the others are searched for.
        for nth, each in enumerate(asked):
            if isinstance(each, _Asked):
                there = suspects[nth]
                ready = [one for one in each.suite.expectations if not one.suspects or there[one.suspects].is_there]
                verdicts[nth] = _validate(source, each, there, ready)
        for nth, each in enumerate(asked):
            if isinstance(each, CheckResult):
                results.append(each)
            else:
                late = [one for one in each.suite.expectations if one.name not in verdicts[nth]]
                verdicts[nth] |= _validate(source, each, suspects[nth], late)
                results.extend(_results(warehouse, each, verdicts[nth]))
    judged: Sequence[CheckResult] = results
    if any(result.symbols_at_fault for result in results):
        judged = quarantine(results, _symbols_checked(warehouse, parameters))
    findings = CheckFindings(run_id=run_id, as_of=as_of, timeframe=timeframe, results=tuple(judged))
    _save(warehouse, findings)
    return findings


def _feature_sets(connection: Connection, wanted: Sequence[str]) -> list[FeatureSet | str]:
    """Return the feature sets `wanted`, or all where none is: each as it is built, or why it cannot be looked at."""
    there = read_feature_sets(connection)
    found: list[FeatureSet | str] = [
        there.get(name, f"there is no feature set {name}. {_BUILD}") for name in wanted or there
    ]
    return found or [f"there are no features yet. {_BUILD}"]


def _label_sets(connection: Connection, timeframe: Timeframe, wanted: Sequence[str]) -> list[LabelSet | str]:
    """Return the label sets `wanted`, or all where none is: each as it is built, or why it cannot be looked at."""
    found: list[LabelSet | str] = []
    for name in wanted or label_set_relations(connection):
        try:
            found.append(read_label_set(connection, name, timeframe))
        except FeaturesError as error:
            found.append(str(error))
    return found or [f"there are no labels yet. {_BUILD}"]


@dataclass(frozen=True)
class _Asked:
    """A suite as it is asked of one feature set and one label set, with the values of its SQL."""

    suite: Suite
    parameters: Parameters


def _asked(
    suite: Suite, parameters: Parameters, feature_sets: Sequence[FeatureSet | str], label_sets: Sequence[LabelSet | str]
) -> Iterator[_Asked | CheckResult]:
    """Give the suite for each of the sets that it is of: where one is missing, that it cannot be looked at."""
    of_features = feature_sets if suite.each == "feature_set" else feature_sets[:1]
    of_labels = label_sets if suite.each == "label_set" else label_sets[:1]
    for features, labels in product(of_features, of_labels):
        if suite.is_of_features and isinstance(features, str):
            yield _not_built(suite, "features.catalog", features)
        elif suite.is_of_labels and isinstance(labels, str):
            yield _not_built(suite, "labels.catalog", labels)
        else:
            feature_set = None if isinstance(features, str) else features
            label_set = None if isinstance(labels, str) else labels
            of_these = replace(parameters, feature_set=feature_set, label_set=label_set)
            yield _Asked(expected_of(suite, feature_set, label_set), of_these)


def _not_built(suite: Suite, catalog: str, why: str) -> CheckResult:
    """Return that what the suite is of cannot be looked at, which closes the gate."""
    first = suite.expectations[0]
    return CheckResult(
        suite=suite.suite,
        expectation=first.name,
        relation=catalog,
        success=False,
        observed=f"could not be checked: {why.rstrip('.')}",
        rows_at_fault=0,
        why=first.why,
        query=f"SELECT * FROM {catalog}",  # noqa: S608 - one of two names
    )


def _validate(
    source: object, asked_of: _Asked, suspects: Mapping[str, Answer], expectations: Sequence[Expectation]
) -> dict[str, tuple[Verdict, str]]:
    """Return the verdict on each of `expectations`, which are of the suite, and the query of its rows."""
    suite, parameters = asked_of.suite, asked_of.parameters
    found: dict[str, tuple[Verdict, str]] = {}
    for label, batch in suite.batches.items():
        here = [each for each in expectations if each.batch == label]
        queries = {
            each.name: failing_rows.query(
                each, batch, parameters, EVERY_SYMBOL if each.suspects is None else _ids(suspects[each.suspects])
            )
            for each in here
        }
        if here:
            asked = [(each.name, each.type, _arguments(each, queries[each.name])) for each in here]
            verdicts = validation.validate(source, f"{suite.suite}.{label}", parameters.fill(batch.query), asked)
            found.update({name: (verdicts[name], query) for name, query in queries.items()})
    return found


def _results(
    warehouse: Warehouse, asked_of: _Asked, verdicts: Mapping[str, tuple[Verdict, str]]
) -> Iterator[CheckResult]:
    """Give the result of each expectation, in the order in which they are written."""
    suite, parameters = asked_of.suite, asked_of.parameters
    sizes = {each.batch: verdicts[each.name][0].n for each in suite.expectations if each.type == ROW_COUNT}
    for each in suite.expectations:
        batch, (verdict, query) = suite.batches[each.batch], verdicts[each.name]
        observed, n, first_rows, symbols = _observed(warehouse, each, verdict, query, sizes[each.batch])
        yield CheckResult(
            suite=suite.suite,
            expectation=each.name,
            relation=parameters.fill(batch.relation),
            success=verdict.success,
            observed=observed,
            rows_at_fault=n,
            why=each.why,
            query=failing_rows.query(each, batch, parameters),
            first_rows=first_rows,
            symbols_at_fault=symbols,
        )


def _ids(suspects: Answer) -> str:
    """Return SQL of the suspects' ids, once they are known: all symbols where their query cannot be run.

    The expectations then say why, since they read the same tables. Raises WarehouseUnreachableError.
    """
    try:
        ids = sorted(row[0] for row in suspects.rows())
    except WarehouseUnreachableError:
        raise
    except WarehouseError:
        return EVERY_SYMBOL
    return ", ".join(str(int(symbol_id)) for symbol_id in ids) or "NULL"


def _arguments(expectation: Expectation, query: str) -> dict[str, object]:
    return {"unexpected_rows_query": query} if expectation.type == SQL else expectation.kwargs


def _observed(
    warehouse: Warehouse, expectation: Expectation, verdict: Verdict, query: str, size: int | None
) -> tuple[str, int, tuple[str, ...], dict[int, int]]:
    """Return what was observed, as text; how many rows are at fault; the first of them; and how many of each symbol."""
    if verdict.error is not None:
        return f"could not be checked: {verdict.error}", 0, (), {}
    if expectation.type == ROW_COUNT:
        return f"{verdict.n or 0:,} rows", 0, (), {}
    if verdict.success:
        return "0 rows at fault" + ("" if size is None else f" of {size:,} rows"), 0, (), {}
    try:
        n, first_rows, symbols = _show(warehouse, query, by_symbol=expectation.quarantines)
    except WarehouseUnreachableError:
        raise
    except WarehouseError as error:
        return f"could not be checked: {error}", 0, (), {}
    return f"{n:,} row{'' if n == 1 else 's'} at fault", n, first_rows, symbols


def _show(warehouse: Warehouse, query: str, *, by_symbol: bool) -> tuple[int, tuple[str, ...], dict[int, int]]:
    """Return how many rows are at fault, the first of them as text, and, where asked, how many of each symbol."""
    of_each = "SELECT symbol_id, count(*) AS n FROM failing GROUP BY symbol_id"
    symbols = f"(SELECT jsonb_object_agg(symbol_id, n) FROM ({of_each}) AS of_each)" if by_symbol else "NULL"  # noqa: S608
    # Nothing to bind: the query is the suite's, and Parameters made its values literals. It runs once for all three.
    counted = text(
        f"WITH failing AS MATERIALIZED ({query}) "  # noqa: S608
        f"SELECT (SELECT count(*) FROM failing), {symbols}, failing.* FROM failing LIMIT {_SHOWN}"
    )
    with warehouse.begin(Role.WORKER) as connection:
        result = connection.execute(counted)
        names = list(result.keys())[2:]
        rows = result.all()
    if not rows:
        return 0, (), {}
    shown = (zip(names, row[2:], strict=True) for row in rows)
    return (
        rows[0][0],
        tuple(", ".join(f"{name}={_shown(value)}" for name, value in row) for row in shown),
        {int(symbol_id): n for symbol_id, n in sorted((rows[0][1] or {}).items(), key=lambda item: int(item[0]))},
    )


def _symbols_checked(warehouse: Warehouse, parameters: Parameters) -> int:
    looked_at = {
        "timeframe": parameters.timeframe.name,
        "as_of": parameters.as_of,
        "window_start": parameters.window_start,
    }
    with warehouse.begin(Role.WORKER) as connection:
        n: int = connection.execute(sql("checks", "symbols_checked"), looked_at).scalar_one()
    return n


def _shown(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _save(warehouse: Warehouse, findings: CheckFindings) -> None:
    rows = [
        {
            "run_id": findings.run_id,
            "as_of": findings.as_of,
            "timeframe": findings.timeframe,
            "suite": result.suite,
            "expectation": result.expectation,
            "relation": result.relation,
            "success": result.success,
            "quarantined": result.quarantined,
            "observed": result.observed,
            "rows_at_fault": result.rows_at_fault,
            "why": result.why,
            "query": result.query,
        }
        for result in findings.results
    ]
    symbols = [
        {
            "run_id": findings.run_id,
            "suite": result.suite,
            "expectation": result.expectation,
            "relation": result.relation,
            "symbol_id": symbol_id,
            "rows_at_fault": n,
        }
        for result in findings.results
        for symbol_id, n in result.symbols_at_fault.items()
    ]
    if not rows:
        return
    again = {"run_id": findings.run_id, "suites": sorted({result.suite for result in findings.results})}
    with warehouse.begin(Role.WORKER) as connection:
        connection.execute(sql("checks", "save"), rows)
        connection.execute(sql("checks", "forget_symbols"), again)
        if symbols:
            connection.execute(sql("checks", "save_symbols"), symbols)
