"""The ingest job: take in what a source has, or every file that lies in the inbox.

A file in the inbox is named `bars_<timeframe>_*` or `earnings_*`. One that was taken in moves to `done/`, one that was
refused to `refused/`, beside a text that says why. A crash between the two is harmless: a file taken in twice changes
nothing.
"""

from __future__ import annotations

import logging
import re
from datetime import datetime
from pathlib import Path

from mlops.domain import IngestCounts
from mlops.exceptions import FilesRefusedError, JobError, SourceError
from mlops.sources import FileSource, Source, ingest_bars, ingest_earnings
from mlops.warehouse import Warehouse
from mlops.warehouse.bookkeeping import job_run

log = logging.getLogger("forecastle.ingest")

_NAME = re.compile(r"(?:bars_(?P<timeframe>[a-z]+\d+)|earnings)(?:[_.].*)?\.(?:csv|csv\.gz|parquet)")


def from_source(warehouse: Warehouse, as_of: datetime, source: Source) -> IngestCounts:
    """Take in the bars of `source` that were known at `as_of` (UTC)."""
    with job_run(warehouse, "ingest", as_of):
        return ingest_bars(warehouse, source, now=as_of)


def from_inbox(warehouse: Warehouse, as_of: datetime, inbox: Path) -> list[IngestCounts]:
    """Take in the files of `inbox`, by name, and return what became of each.

    A file that is refused does not keep the others out; the job fails at its end with FilesRefusedError that names it.
    """
    with job_run(warehouse, "ingest", as_of):
        if not inbox.is_dir():
            raise JobError(f"The inbox {inbox} is not a folder. Make it, or correct FORECASTLE_INBOX.")
        counts, refused = [], []
        for file in sorted(inbox.iterdir()):
            if file.is_dir() or file.name.startswith("."):
                continue
            try:
                counts.append(_take_in(warehouse, as_of, file))
            except SourceError as error:
                log.error("%s: %s", file.name, error)
                refused.append(file.name)
                moved = _move(file, inbox / "refused")
                moved.with_name(moved.name + ".why.txt").write_text(f"{error}\n", encoding="utf-8")
            else:
                log.info("%s: %s", file.name, counts[-1])
                _move(file, inbox / "done")
        if refused:
            raise FilesRefusedError(
                f"Refused: {', '.join(refused)}. {inbox / 'refused'} says why, beside each.", files=refused
            )
        return counts


def _take_in(warehouse: Warehouse, as_of: datetime, file: Path) -> IngestCounts:
    name = _NAME.fullmatch(file.name)
    if name is None:
        raise SourceError(f"{file.name} is not named like bars_d1_2017-08-11.csv or earnings_2017.csv. Rename it.")
    if name["timeframe"] is None:
        return ingest_earnings(warehouse, FileSource(file), now=as_of)
    return ingest_bars(warehouse, FileSource(file), timeframe=name["timeframe"], now=as_of)


def _move(file: Path, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return file.rename(folder / file.name)
