"""How the embedded server says what it is doing, to whoever wants to show it."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, float | None], None]
"""Takes what is going on and, where it is known, how much of it is done (0 to 1)."""


def silent(_what: str, _done: float | None) -> None:
    """Show nothing."""
