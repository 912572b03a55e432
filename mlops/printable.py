r"""Text from data or from a file's name, made fit for a terminal, a log or a table.

A ticker or a name may hold anything: escape sequences that move the cursor or recolour the screen, characters that
turn the direction of writing, bytes that are no UTF-8. Shown, each of these is its escape, such as `\x1b`.
"""

from __future__ import annotations


def printable(text: str) -> str:
    r"""Return `text` in one line: what cannot be printed is its escape (`\x1b`, `\n`, `\u202e`, `\udce9`)."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def printable_lines(text: str) -> str:
    """Return `text` with its line breaks, each line made printable."""
    return "\n".join(map(printable, text.split("\n")))


def cut(text: str, length: int) -> str:
    """Return `text`, or as much of its beginning as fits into `length` characters with the mark of what is left out."""
    return text if len(text) <= length else text[: length - 1] + "…"
