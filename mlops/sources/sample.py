"""The sample: daily bars of AAPL, FB, GOOG, IBM and MSFT, 2000 to 2013, from the package `bokeh_sampledata`.

The package is an extra (`forecastle[demo]`); its file is read where it lies, without importing bokeh.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from mlops.exceptions import SourcePackageMissingError
from mlops.sources.files import FileSource
from mlops.sources.layout import BARS, Batch, Layout
from mlops.sources.providers import Provider

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class SampleSource:
    """The sample's bars with `since <= date <= until`; without bounds, all.

    The file is parsed once a process: to walk through the sample day by day costs one parse.
    """

    since: date | None = None
    until: date | None = None

    @property
    def name(self) -> str:
        """What stands in market.ingests."""
        bounds = [f"{word} {day}" for word, day in (("from", self.since), ("to", self.until)) if day]
        return " ".join(["sample", *bounds])

    @property
    def sha256(self) -> str | None:
        """The digest of the sample's file, None where only a part of it is taken."""
        return None if self.since or self.until else _parsed(_file())[1]

    def days(self) -> list[date]:
        """Return the trading days of the sample, bounds or none, in order. Raises SourcePackageMissingError."""
        import numpy as np

        return [day.item() for day in np.unique(_parsed(_file())[2])]

    def batches(self, layout: Layout = BARS) -> Iterator[Batch]:
        """Yield the bars. Raises SourcePackageMissingError where the package is not installed."""
        import numpy as np

        table, _, days = _parsed(_file())
        wanted = np.ones(len(days), dtype=np.bool_)
        if self.since:
            wanted &= days >= np.datetime64(self.since)
        if self.until:
            wanted &= days <= np.datetime64(self.until)
        yield Batch(table.filter(wanted))


PROVIDER = Provider("sample", lambda asked: SampleSource(since=asked.since, until=asked.until), by_symbol=False)


def _file() -> Path:
    spec = find_spec("bokeh_sampledata")
    if spec is None or spec.origin is None:
        raise SourcePackageMissingError(
            "The sample is in the package bokeh-sampledata, which is not installed. "
            "Install it: pip install 'forecastle[demo]'.",
            package="bokeh-sampledata",
            extra="demo",
        )
    return Path(spec.origin).parent / "_data" / "stocks.csv.gz"


@lru_cache(maxsize=1)
def _parsed(path: Path) -> tuple[pa.Table, str | None, NDArray[np.datetime64]]:
    import pyarrow as pa

    source = FileSource(path)
    table = pa.concat_tables([batch.table for batch in source.batches(BARS)])
    table = table.set_column(table.column_names.index("ts"), "ts", table.column("ts").cast(pa.date32()))
    days = table.column("ts").to_numpy().astype("datetime64[D]")
    return table, source.sha256, days
