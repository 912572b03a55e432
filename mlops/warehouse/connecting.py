"""Connect to a server, and wait for it while it is starting or stopping.

After a crash or a reboot PostgreSQL replays its log before it lets anybody in, and answers every connection with
SQLSTATE 57P03 meanwhile. So the URL may be right, and it helps to wait. The driver gives only the server's message,
in the server's language, and no SQLSTATE; libpq's ping tells the two states apart from others.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, event

from mlops.exceptions import WarehouseUnreachableError

if TYPE_CHECKING:
    from psycopg.pq import Ping

PATIENCE_SECONDS = 60.0
"""How long a server may go on saying that it is starting or stopping."""

_BACK_SECONDS = 5.0
"""How long a server that was stopping may be silent: one that starts again answers by then."""

_PAUSE_SECONDS = 0.2
_PING_SECONDS = 5


def wait_for_server(engine: Engine) -> Engine:
    """Let every new connection of `engine` wait for a server that is starting or stopping, and return the engine.

    Whoever asks for a connection gets WarehouseUnreachableError where the server lets nobody in for PATIENCE_SECONDS;
    every other refusal comes at once, as the driver has it.
    """

    @event.listens_for(engine, "do_connect")
    def connect(_dialect: object, _record: object, arguments: list[Any], named: dict[str, Any]) -> Any:  # noqa: ANN401
        return _connect(engine, arguments, named)

    return engine


def _connect(engine: Engine, arguments: list[Any], named: dict[str, Any]) -> Any:  # noqa: ANN401
    import psycopg
    from psycopg.pq import Ping

    began = time.monotonic()
    heard: float | None = None  # when the server last said that it is starting or stopping
    let_in = False  # whether it lets others in, so that the next refusal is meant for us
    while True:
        try:
            return engine.dialect.connect(*arguments, **named)
        except psycopg.OperationalError as error:
            answer, now = _ping(named), time.monotonic()
            if answer is Ping.REJECT:
                heard, let_in = now, False
            elif answer is Ping.OK and not let_in:
                let_in = True  # it may have come up between the connection and the ping
                continue
            elif answer is Ping.OK or heard is None or now - heard > _BACK_SECONDS:
                raise
            if now - began > PATIENCE_SECONDS:
                raise WarehouseUnreachableError(
                    f"The server at {engine.url.host or 'localhost'}:{engine.url.port or 5432} has been starting or "
                    f"stopping for {PATIENCE_SECONDS:.0f} s and lets nobody in. Its log says what it is doing; run "
                    "this again when it is done."
                ) from error
            time.sleep(_PAUSE_SECONDS)


def _ping(named: dict[str, Any]) -> Ping:
    """Ask the server whether it takes connections; it needs no password for that."""
    from psycopg.conninfo import make_conninfo
    from psycopg.pq import Conninfo, PGconn, Ping

    known = {option.keyword.decode() for option in Conninfo.get_defaults()} - {"password", "connect_timeout"}
    kept = {name: value for name, value in named.items() if name in known}
    return Ping(PGconn.ping(make_conninfo(**kept, connect_timeout=_PING_SECONDS).encode()))
