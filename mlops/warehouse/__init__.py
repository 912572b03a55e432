"""The warehouse: the only room that talks to the database driver.

`Warehouse` hands out transactions in the name of one of the three roles; `sql` loads a stage's named queries;
`copy` and `read` move many rows in and out; `migrate` brings the tables up to date.
"""

from mlops.warehouse.engine import Warehouse
from mlops.warehouse.queries import sql

__all__ = ["Warehouse", "sql"]
