"""The embedded TimescaleDB: a real server, kept in the user's data folder, for whoever names no other.

`ensure_running` gives the URL of one that runs. `EmbeddedServer` is one server; `embedded_server` the user's.
"""

from __future__ import annotations

from mlops.embedded.logins import put_logins_right, role_url
from mlops.embedded.moving import folder_in_use, folder_not_in_use, move_from_cache
from mlops.embedded.progress import Progress, silent
from mlops.embedded.server import EmbeddedServer, Started
from mlops.settings import Settings

__all__ = [
    "EmbeddedServer", "Progress", "Started", "embedded_server", "ensure_running", "folder_not_in_use",
    "put_logins_right", "role_url", "silent", "start",
]  # fmt: skip


def embedded_server(settings: Settings) -> EmbeddedServer:
    """Return the user's embedded server, running or not, where it lies now."""
    folder = folder_in_use(settings)
    return EmbeddedServer(folder=folder, home=folder)


def ensure_running(settings: Settings, progress: Progress = silent) -> str:
    """Return the URL of the user's embedded server as its administrator, starting it where it does not run.

    Raises EmbeddedServerError, which says what stands in the way.
    """
    return start(settings, progress).url


def start(settings: Settings, progress: Progress = silent) -> Started:
    """Have the user's embedded server running in its folder, to which it is moved from that of an earlier version.

    Raises EmbeddedServerError, which says what stands in the way.
    """
    move_from_cache(settings, progress)
    return embedded_server(settings).up(progress)
