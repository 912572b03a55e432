"""The data folder: made whole or not at all, never deleted, configured anew at every start."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from mlops.embedded.account import Account
from mlops.embedded.failures import failed
from mlops.embedded.place import ADMIN, Place
from mlops.embedded.programs import Programs
from mlops.embedded.sizing import RESERVED_CONNECTIONS, sizes, this_machine
from mlops.exceptions import EmbeddedServerError

_CONFIGURATION = "forecastle.conf"

_INCLUDE = f"""
# Written by Forecastle at every start. What stands below this line, or is set by ALTER SYSTEM, wins.
include_if_exists = '{_CONFIGURATION}'
"""

_DATABASE = f"""\
CREATE DATABASE {ADMIN} TEMPLATE template0
REVOKE ALL ON DATABASE {ADMIN}, postgres, template1 FROM PUBLIC
"""
"""One statement a line, as the single-user server takes them. Who may enter the database is for the migrations to say;
without this every login may, and may make temporary tables there."""


def data_major(place: Place, account: Account) -> int | None:
    """Return the major version of PostgreSQL that made the data folder, or None where there is no data yet.

    Raises EmbeddedServerError where something else is in the folder; it is left as it is.
    """
    data = place.data
    held = account.shell('[ -e "$1" ] || [ -L "$1" ] || exit 0; ls -A -- "$1"', data)
    if held.returncode != 0:
        raise failed(f"{data} cannot be read", held.stdout, place.folder)
    if not held.stdout.strip():
        return None
    version = re.fullmatch(r"\s*(\d{1,4})\s*", account.read(data / "PG_VERSION") or "")
    if version is None or account.size(data / "global" / "pg_control") == 0:
        raise EmbeddedServerError(
            f"{data} holds something, but no whole PostgreSQL data folder. Nothing was changed: move it away, "
            "and `forecastle db up` makes a new one.",
            folder=data,
        )
    return int(version[1])


def create(place: Place, programs: Programs, account: Account, *, durable: bool) -> None:
    """Make the data folder with the database in it, beside its place, and rename it into place.

    Raises EmbeddedServerError where that fails; what was begun is taken away then, or at the next attempt.
    """
    account.shell('rm -rf -- "$1"/data.new-*', place.cluster)
    draft = account.make_folder(place.cluster, "data.new-")
    try:
        secret, data = draft / "password", draft / "data"
        account.write(secret, place.password(ADMIN) + "\n")
        answer = account.run(
            [
                programs.path("initdb"), "--pgdata", data, "--username", ADMIN, "--pwfile", secret,
                "--auth", "scram-sha-256", "--encoding", "UTF8", *_locale(programs),
                *([] if durable else ["--no-sync"]),
            ]
        )  # fmt: skip
        if answer.returncode != 0:
            raise failed("The data folder could not be made", answer.stdout, place.folder)
        single_user(data, programs, account, _DATABASE, durable=durable)
        main = data / "postgresql.conf"
        settings = account.read(main)
        if settings is None:
            raise failed("The data folder could not be made", f"{main} cannot be read", place.folder)
        account.write(main, settings + _INCLUDE)
        account.move(data, place.data)
    finally:
        account.remove(draft)


def single_user(data: Path, programs: Programs, account: Account, statements: str, *, durable: bool) -> None:
    """Run statements, one a line, on a server that is stopped, needing no password.

    Raises EmbeddedServerError at the first that fails.
    """
    unsafe = () if durable else ("-F",)
    answer = account.run([programs.path("postgres"), "--single", *unsafe, "-D", data, "postgres"], stdin=statements)
    if answer.returncode != 0 or re.search(r"(ERROR|FATAL|PANIC): ", answer.stdout):
        raise failed("The database could not be set up", answer.stdout, data)


def configure(
    place: Place, account: Account, major: int, *, port: int, durable: bool, extra: Mapping[str, str]
) -> None:
    """Write the settings for the next start by programs of version `major`: where to listen, how large to be."""
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": "",
        "password_encryption": "scram-sha-256",
        "shared_preload_libraries": "timescaledb",
        "timescaledb.telemetry_level": "off",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "jit": "off",
        "random_page_cost": "1.1",
        # A query over a hypertable without a time takes a lock for each chunk and index.
        "max_locks_per_transaction": "256",
        "checkpoint_timeout": "15min",
        "log_checkpoints": "off",
        # Nobody replicates an embedded server, and a table filled in the transaction that emptied it needs no log then.
        "wal_level": "minimal",
        "max_wal_senders": "0",
        **({"reserved_connections": str(RESERVED_CONNECTIONS)} if major >= 16 else {}),
        # Nobody is notified of anything here; in the size that it has by default the queue takes 8 GB of disk.
        **({"max_notify_queue_pages": "64"} if major >= 17 else {}),
        **sizes(this_machine(place.cluster)),
        **({} if durable else {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}),
        **extra,
    }
    text = "".join(f"{name} = '{value}'\n" for name, value in settings.items())
    account.write(place.data / _CONFIGURATION, text)


def remembered_port(place: Place, account: Account) -> int | None:
    """Return the port of the last start."""
    port = re.search(r"^port = '(\d{1,5})'$", account.read(place.data / _CONFIGURATION) or "", re.MULTILINE)
    return int(port[1]) if port and int(port[1]) < 65536 else None


def _locale(programs: Programs) -> list[str]:
    """Return initdb's options: sorted by code point, Unicode's classes of characters, no locale files needed."""
    if programs.major >= 17:
        return ["--locale", "C", "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"]
    return ["--locale", "C.UTF-8"]
