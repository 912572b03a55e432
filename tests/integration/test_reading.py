"""Arrays read in bulk equal the rows that SQLAlchemy reads one by one."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from sqlalchemy import text

from mlops.exceptions import WarehouseError
from mlops.warehouse import Warehouse
from mlops.warehouse.reading import read_arrays

VALUES = """
    (VALUES
        (1, true, 7::int2, 3000000000, 1.5::float4, 0.1::float8, '2017-06-30 20:00:00.123456+00'::timestamptz),
        (1, false, -7::int2, -1, -2.25::float4, 'NaN'::float8, '1969-12-31 23:59:59+00'::timestamptz),
        (2, true, 0::int2, 0, 3e38::float4, 'Infinity'::float8, '2000-01-01 00:00:00+00'::timestamptz)
    ) AS v (g, b, s, i, r, d, t)
"""


def test_every_type_arrives_as_it_was(warehouse: Warehouse) -> None:
    with warehouse.begin() as connection:
        read = read_arrays(
            connection,
            text(
                "SELECT array_agg(g), array_agg(b), array_agg(s), array_agg(i), array_agg(r), array_agg(d), "
                f"array_agg(t), array_agg(ARRAY[d, r]) FROM {VALUES} GROUP BY g ORDER BY g"
            ),
            {},
            ("g", "b", "s", "i", "r", "d", "t", "pair"),
        )
    assert read["g"].tolist() == [1, 1, 2]
    assert (read["g"].dtype, read["s"].dtype, read["i"].dtype) == (np.int32, np.int16, np.int64)
    assert (read["r"].dtype, read["d"].dtype, read["t"].dtype) == (np.float32, np.float64, np.dtype("datetime64[us]"))
    assert read["b"].tolist() == [True, False, True]
    assert read["s"].tolist() == [7, -7, 0]
    assert read["i"].tolist() == [3_000_000_000, -1, 0]
    np.testing.assert_array_equal(read["r"], np.float32([1.5, -2.25, 3e38]))
    np.testing.assert_array_equal(read["d"], [0.1, np.nan, np.inf])
    assert read["t"].astype("datetime64[us]").tolist() == [
        datetime(2017, 6, 30, 20, 0, 0, 123456),
        datetime(1969, 12, 31, 23, 59, 59),
        datetime(2000, 1, 1),
    ]
    np.testing.assert_array_equal(read["pair"], np.stack([read["d"], read["r"].astype(float)], axis=1))


def test_many_rows_equal_those_read_one_by_one(warehouse: Warehouse) -> None:
    source = "SELECT i % 7 AS g, i, sin(i) AS x, cos(i) AS y FROM generate_series(1, 20000) AS i"
    with warehouse.begin() as connection:
        read = read_arrays(
            connection,
            text(f"SELECT array_agg(i), array_agg(ARRAY[x, y]) FROM ({source}) AS s GROUP BY g"),
            {},
            ("i", "xy"),
        )
        rows = connection.execute(text(f"SELECT i, x, y FROM ({source}) AS s ORDER BY i")).all()
    order = np.argsort(read["i"])
    assert read["i"][order].tolist() == [row.i for row in rows]
    assert read["xy"][order].tolist() == [[row.x, row.y] for row in rows]


def test_parameters_are_values_and_never_sql(warehouse: Warehouse) -> None:
    nasty = "'; DROP TABLE ml.runs; -- % %s :x"
    with warehouse.begin() as connection:
        read = read_arrays(
            connection,
            text("SELECT array_agg(length(:nasty) % 1000), array_agg(:at) WHERE :yes"),
            {"nasty": nasty, "at": datetime(2020, 1, 2, tzinfo=UTC), "yes": True},
            ("n", "at"),
        )
    assert read["n"].tolist() == [len(nasty)]
    assert str(read["at"][0]) == "2020-01-02T00:00:00.000000"


def test_no_rows_are_no_rows(warehouse: Warehouse) -> None:
    with warehouse.begin() as connection:
        read = read_arrays(
            connection, text("SELECT array_agg(i) FROM generate_series(1, 3) AS i WHERE i > 5 GROUP BY i"), {}, ("i",)
        )
        assert len(read["i"]) == 0
        assert connection.execute(text("SELECT 1")).scalar_one() == 1


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT array_agg(x) FROM (VALUES (1.0::float8), (NULL)) AS v (x)", "x has a NULL among its values"),
        ("SELECT NULL::float8[]", "x is NULL where an array belongs"),
        ("SELECT array_agg(i::text) FROM generate_series(1, 3) AS i", "x is no array .* of numbers or moments"),
        ("SELECT array_agg(i), array_agg(i) FROM generate_series(1, 3) AS i", "has 2 columns, not the 1"),
    ],
)
def test_what_is_no_array_of_numbers_is_refused(warehouse: Warehouse, query: str, message: str) -> None:
    with pytest.raises(WarehouseError, match=message), warehouse.begin() as connection:
        read_arrays(connection, text(query), {}, ("x",))
    with warehouse.begin() as connection:
        assert connection.execute(text("SELECT 1")).scalar_one() == 1


def test_what_the_database_refuses_is_said(warehouse: Warehouse) -> None:
    with pytest.raises(WarehouseError, match="division by zero"), warehouse.begin() as connection:
        read_arrays(connection, text("SELECT array_agg(1 / (i - 2)) FROM generate_series(1, 3) AS i"), {}, ("x",))
