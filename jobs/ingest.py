"""The ingest job: take in what a source has, or every file that lies in the inbox.

A file in the inbox is named `bars_<timeframe>_*`, or after another kind of rows, such as `earnings_*`; others are left
alone. One that was taken in moves to `done/`, one that was refused to `refused/`, beside a text that says why. One with
rows that are not known yet, such as today's bars before the close, stays with a text beside it: what is known is taken
in, and the rest when it is known. A crash between taking in and moving is harmless: a file taken in twice changes
nothing.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from mlops import clock
from mlops.domain import IngestCounts
from mlops.exceptions import FilesRefusedError, ForecastleError, SettingsError, SourceError, TimeframeError
from mlops.printable import cut, printable
from mlops.sources import Ingested, Source, ingest_bars, kinds, require_terms
from mlops.sources.inbox import DONE, REFUSED, Inbox, InboxFile
from mlops.warehouse import Warehouse
from mlops.warehouse.bookkeeping import job_run

log = logging.getLogger("forecastle.ingest")

WAITS = timedelta(days=7)
"""What is known within this time makes its file wait, a weekend and a holiday included; a later date is a mistake."""

_NAME = re.compile(
    rf"(?:bars_(?P<timeframe>[a-z]+[0-9]+)|(?P<kind>{'|'.join(kinds())}))(?:[_.].*)?\.(?:csv|csv\.gz|parquet)",
    re.IGNORECASE | re.DOTALL,
)
_LIKE_DATA = re.compile(r".*\.(?:csv|csv\.gz|parquet|pq)", re.IGNORECASE | re.DOTALL)
_NAMES_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Fetch:
    """A source of bars, and what it does not say itself; see `mlops.sources.ingest_bars`."""

    source: Source
    timeframe: str | None = None
    exchange: str | None = None
    asset_class: str | None = None


def from_source(warehouse: Warehouse, as_of: datetime, fetch: Fetch) -> IngestCounts:
    """Take in the bars of a source that were known at `as_of` (UTC)."""
    with job_run(warehouse, "ingest", as_of):
        return ingest_bars(
            warehouse,
            fetch.source,
            timeframe=fetch.timeframe,
            exchange=fetch.exchange,
            asset_class=fetch.asset_class,
            now=as_of,
        )


def typed(
    warehouse: Warehouse, as_of: datetime, kind: str, ingest: Callable[[], Ingested], on_wait: Callable[[str], None]
) -> Ingested:
    """Call `ingest`, which somebody typed at `as_of` (UTC), and return what it returns.

    Its row has `kind` as its subject. The daemon's ingests, which bring what they find, have none; they and this one
    wait for each other only while rows are written. Another typed one of `kind` is waited for from its beginning to its
    end, once `on_wait` has been called with who runs it. Raises LockTimeoutError where that does not end.
    """
    with job_run(warehouse, "ingest", as_of, kind, on_wait=on_wait):
        return ingest()


@dataclass(frozen=True, slots=True)
class Unsaid:
    """What the files of an inbox do not say themselves; see `mlops.sources.ingest_bars`."""

    timezone: str | None = None
    exchange: str | None = None
    asset_class: str | None = None


def from_inbox(warehouse: Warehouse, as_of: datetime, inbox: Path, unsaid: Unsaid | None = None) -> list[IngestCounts]:
    """Take in what was known at `as_of` (UTC) of the files of `inbox`, by name, and return what became of each.

    `unsaid` is what the files do not say. Where it names what there is not, SettingsError is raised and no file is
    touched: it would be every file's fault.

    A file that is refused does not keep the others out; the job fails at its end with FilesRefusedError that names it.
    An error that is not the file's, such as a server that is gone, ends the job and leaves the file where it is.
    """
    with job_run(warehouse, "ingest", as_of), Inbox.opened(inbox) as opened:
        said = unsaid or Unsaid()
        _require_usable(said)
        seen = _Seen(opened)
        for file in opened.files():
            name = _NAME.fullmatch(file.name)
            if name is not None:
                _take_in(warehouse, as_of, file, name, unsaid=said, seen=seen)
            elif _LIKE_DATA.fullmatch(file.name):
                seen.misnamed.append(file.shown)
        seen.complain()
        return list(seen.counts)


@dataclass
class _Seen:
    """What became of the files so far, by their names."""

    inbox: Inbox
    counts: list[Ingested] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    misnamed: list[str] = field(default_factory=list)

    def complain(self) -> None:
        """Raise FilesRefusedError where a file wants somebody to look."""
        sentences = []
        if self.refused:
            sentences.append(f"Refused: {_listed(self.refused)}. {self.inbox.path / REFUSED} says why, beside each.")
        if self.stuck:
            sentences.append(f"Could not be put away, and will be taken in again: {_listed(self.stuck)}.")
        if self.misnamed:
            sentences.append(
                f"Left alone, for their names: {_listed(self.misnamed)}. Name them like bars_d1_2017-08-11.csv or "
                "earnings_2017.csv, or take them out of the inbox."
            )
        if sentences:
            raise FilesRefusedError(" ".join(sentences), files=self.refused)


def _require_usable(unsaid: Unsaid) -> None:
    try:
        require_terms(**asdict(unsaid))
    except SourceError as error:
        raise SettingsError(f"The inbox's settings (FORECASTLE_INBOX_...) cannot be used. {error}") from error


def _take_in(
    warehouse: Warehouse, as_of: datetime, file: InboxFile, name: re.Match[str], *, unsaid: Unsaid, seen: _Seen
) -> None:
    """Take one file in, and put it where it belongs then."""
    try:
        ingested = _ingest(warehouse, as_of, file, name, unsaid)
    except (SourceError, TimeframeError) as error:
        _refuse(file, str(error), seen)
        return
    except (ForecastleError, SQLAlchemyError, OSError):
        raise
    except Exception as error:  # whatever it is, this file brings it about, and must not keep the others out every day
        log.exception("%s", file.shown)
        reason = printable(cut(f"{type(error).__name__}: {error}", 300))
        _refuse(file, f"{reason}. This is a bug in Forecastle; its log shows where.", seen)
        return
    if ingested.waiting.n:
        seen.counts.append(ingested)
        _leave_waiting(file, ingested)
    elif ingested.read == ingested.rejected:
        _refuse(file, f"No row of it was taken in. {_rejected(ingested)}", seen)
    else:
        seen.counts.append(ingested)
        log.info("%s: %s", file.shown, _shown(ingested.counts))
        if ingested.rejected:
            log.warning("%s: %s", file.shown, _rejected(ingested))
        _put_away(file, DONE, seen)


def _ingest(warehouse: Warehouse, as_of: datetime, file: InboxFile, name: re.Match[str], unsaid: Unsaid) -> Ingested:
    # A run for the past must not take for a mistake what is known today
    waits_until = max(as_of, clock.now()) + WAITS
    if name["kind"] is not None:
        kind = kinds()[name["kind"].lower()]
        return kind.ingest(warehouse, file.source(), now=as_of, waits_until=waits_until)
    return ingest_bars(
        warehouse,
        file.source(),
        timeframe=name["timeframe"].lower(),
        now=as_of,
        waits_until=waits_until,
        **asdict(unsaid),
    )


def _leave_waiting(file: InboxFile, ingested: Ingested) -> None:
    waiting = ingested.waiting
    why = (
        f"{waiting.n:,} rows wait in the inbox, since they are not known before {waiting.known_by:%Y-%m-%d %H:%M} UTC. "
        f"Of the others: {_shown(ingested.counts)}."
    )
    if ingested.reasons:
        why += f" Wrong, and to be rejected then: {_shown(ingested.reasons)}."
    why += " What the file says is taken at its word then: replace it if it was written too early to know."
    log.warning("%s: %s", file.shown, why)
    try:
        file.inbox.explain(file.name, why)
    except OSError as error:
        log.warning("%s: why it waits could not be written beside it: %s", file.shown, error.strerror)


def _refuse(file: InboxFile, why: str, seen: _Seen) -> None:
    log.error("%s: refused: %s", file.shown, " ".join(why.split("\n")))
    name = _put_away(file, REFUSED, seen)
    if name is None:
        return
    seen.refused.append(printable(name))
    try:
        file.inbox.explain(name, why, REFUSED)
    except OSError as error:
        log.error("%s: why it was refused could not be written beside it: %s", file.shown, error.strerror)


def _put_away(file: InboxFile, folder: str, seen: _Seen) -> str | None:
    """Move a file into a folder of the inbox and return its name there, None where it stays or is gone."""
    try:
        name = file.inbox.put_away(file, folder)
    except FileNotFoundError:
        log.warning("%s: is gone from the inbox", file.shown)
        return None
    except NotADirectoryError:
        why = f"{folder} in the inbox is no folder; a link to one will not do"
    except OSError as error:
        why = error.strerror or str(error)
    else:
        if name is None:
            log.warning("%s: was written to meanwhile; it stays for the next run", file.shown)
        return name
    log.error("%s: cannot be moved to %s: %s", file.shown, folder, why)
    seen.stuck.append(f"{file.shown} ({why})")
    return None


def _rejected(ingested: Ingested) -> str:
    return (
        f"Rejected: {_shown(ingested.reasons)}. market.rejects has them with line and reason, ingest_id "
        f"{ingested.ingest_id}."
    )


def _shown(numbers: Mapping[str, int]) -> str:
    return ", ".join(f"{n:,} {what}" for what, n in numbers.items())


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMES_SHOWN:,} more" if len(names) > _NAMES_SHOWN else ""
    return ", ".join(names[:_NAMES_SHOWN]) + more
