"""Make text from data safe to print in a table of Rich."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops.printable import printable

if TYPE_CHECKING:
    from rich.text import Text


def plain(value: object) -> Text:
    """Return `value` as it is to be read: brackets are no markup, colons no emoji, escape sequences no commands.

    Every cell and title that holds more than our own words goes through this.
    """
    from rich.text import Text

    return Text(printable(str(value)))
