"""What the daemon logs, on its way to standard error."""

from __future__ import annotations

import logging

from mlops.printable import printable_lines


class PlainFormatter(logging.Formatter):
    """Lets nothing into the log that a terminal would obey: what is logged may quote a file or a database."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's lines, each made printable."""
        return printable_lines(super().format(record))


def log_to_stderr() -> None:
    """Log to standard error, one line a message; of what others log, only what matters."""
    handler = logging.StreamHandler()
    handler.setFormatter(PlainFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    for noisy, level in (("great_expectations", logging.ERROR), ("alembic", logging.WARNING)):
        logging.getLogger(noisy).setLevel(level)
