"""The query that shows the rows that fail, for each type of expectation that the suites use.

Great Expectations has such a query of its own, but over a query asset it is not valid SQL (1.24 leaves out the
parentheses). Great Expectations decides whether an expectation holds; the query here only shows the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mlops.checks.parameters import Parameters
from mlops.checks.suites import ROW_COUNT, SQL, Batch, Expectation
from mlops.exceptions import ChecksError


def _is_null(kwargs: Mapping[str, Any]) -> str:
    return f"{kwargs['column']} IS NULL"


def _is_outside(kwargs: Mapping[str, Any]) -> str:
    column, bounds = kwargs["column"], []
    if "min_value" in kwargs:
        bounds.append(f"{column} {'>' if kwargs.get('strict_min') else '>='} {_literal(kwargs['min_value'])}")
    if "max_value" in kwargs:
        bounds.append(f"{column} {'<' if kwargs.get('strict_max') else '<='} {_literal(kwargs['max_value'])}")
    return f"NOT ({' AND '.join(bounds)})"


def _is_not_in_set(kwargs: Mapping[str, Any]) -> str:
    return f"{kwargs['column']} NOT IN ({', '.join(_literal(value) for value in kwargs['value_set'])})"


def _is_not_greater(kwargs: Mapping[str, Any]) -> str:
    return f"{kwargs['column_A']} <= {kwargs['column_B']}"


_KEY_IS_ENFORCED = """EXISTS (
    SELECT FROM pg_index AS key
    WHERE key.indrelid = to_regclass('{relation}') AND key.indisunique AND key.indisvalid AND key.indpred IS NULL
        AND 0 <> ALL (key.indkey)
        AND ARRAY(
            SELECT CAST(attname AS text) FROM pg_attribute
            WHERE attrelid = key.indrelid AND attnum = ANY (key.indkey[0:key.indnkeyatts - 1])
        ) <@ ARRAY[{columns}]
        AND NOT EXISTS (
            SELECT FROM pg_attribute
            WHERE attrelid = key.indrelid AND attnum = ANY (key.indkey) AND NOT attnotnull
        )
)"""
"""Whether a unique index keeps two rows of one key out of a batch: then there is nothing to count. One over columns
that may be NULL does not, since no NULL is equal to another."""

_CONDITIONS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "expect_column_values_to_not_be_null": _is_null,
    "expect_column_values_to_be_between": _is_outside,
    "expect_column_values_to_be_in_set": _is_not_in_set,
    "expect_column_pair_values_a_to_be_greater_than_b": _is_not_greater,
}
"""For the types that look at each row by itself: the condition that a failing row meets."""


EVERY_SYMBOL = "SELECT id FROM market.symbols"
"""The suspects where nobody has narrowed them down."""


def query(expectation: Expectation, batch: Batch, parameters: Parameters, suspects: str = EVERY_SYMBOL) -> str:
    """Return the SQL whose result is the failing rows: those of `suspects`, SQL of ids, where it asks for suspects.

    Raises ChecksError for a type that is not known here.
    """
    rows = parameters.fill(batch.query)
    kwargs = expectation.kwargs
    if expectation.type == SQL:
        return fill(kwargs["unexpected_rows_query"], batch, parameters, suspects)
    if expectation.type == ROW_COUNT:
        return rows
    condition = _CONDITIONS.get(expectation.type)
    if condition is None:
        known = ", ".join(sorted(_CONDITIONS))
        raise ChecksError(f"{expectation.name}: type {expectation.type} is none of {known}.")
    shown = [*batch.key, *(kwargs[name] for name in ("column", "column_A", "column_B") if name in kwargs)]
    columns = ", ".join(dict.fromkeys(shown))
    return f"SELECT {columns} FROM ({rows}) AS batch WHERE {condition(kwargs)}"  # noqa: S608


def fill(query: str, batch: Batch, parameters: Parameters, suspects: str = EVERY_SYMBOL) -> str:
    """Return SQL about `batch` with a value for each `:name` in it; `:rows` is the batch itself."""
    return parameters.fill(
        query,
        rows=f"({parameters.fill(batch.query)})",
        suspects=suspects,
        key_is_enforced=parameters.fill(_KEY_IS_ENFORCED.format(relation=batch.relation, columns=_quoted(batch))),
    )


def _quoted(batch: Batch) -> str:
    return ", ".join(_literal(column) for column in (*batch.one, *batch.key))


def _literal(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ChecksError(f"{value!r} is neither a number nor a word.")
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)
