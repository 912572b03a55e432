"""What several files of these tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from databases import database
from forty_days import Market, live_forty_days

from mlops.warehouse import Warehouse
from mlops.warehouse.databases import beside
from mlops.warehouse.migrate import set_database_defaults


@pytest.fixture(scope="session")
def market(server_url: str, featured_template: str) -> Iterator[Market]:
    """Real prices, features and labels; two small models, one of them with two versions; runs, checks and jobs."""
    with database(server_url, featured_template) as name, Warehouse(beside(server_url, name)) as warehouse:
        with warehouse.begin(role=None) as connection:
            set_database_defaults(connection)
        warehouse.close()  # the defaults are those of later connections
        market = Market(warehouse)
        live_forty_days(market)
        yield market
