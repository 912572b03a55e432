"""The embedded TimescaleDB: a real server, kept in the user's cache folder, for whoever names no other.

`ensure_running` gives the URL of one that runs. `EmbeddedServer` is one server; `embedded_server` the user's.
"""

from __future__ import annotations

from mlops.embedded.logins import put_logins_right, role_url
from mlops.embedded.progress import Progress, silent
from mlops.embedded.server import EmbeddedServer, Started
from mlops.settings import Settings

__all__ = [
    "EmbeddedServer", "Progress", "Started", "embedded_server", "ensure_running", "put_logins_right", "role_url",
    "silent",
]  # fmt: skip


def embedded_server(settings: Settings) -> EmbeddedServer:
    """Return the user's embedded server, running or not."""
    return EmbeddedServer(folder=settings.home, home=settings.home)


def ensure_running(settings: Settings, progress: Progress = silent) -> str:
    """Return the URL of the user's embedded server as its administrator, starting it where it does not run.

    Raises EmbeddedServerError, which says what stands in the way.
    """
    return embedded_server(settings).up(progress).url
