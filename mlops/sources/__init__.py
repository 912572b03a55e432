"""Sources: where market data comes from, and its way into `market.*`.

A source is anything with a name that yields batches of rows (`Source`): a file, the sample package, Yahoo Finance.
`ingest_bars` takes one into the warehouse as bars, and each of `kinds` as rows of that kind, such as earnings.
"""

from mlops.sources.bars import ingest_bars
from mlops.sources.earnings import EARNINGS, ingest_earnings
from mlops.sources.files import FileSource
from mlops.sources.ingested import Ingested
from mlops.sources.kinds import Kind, kinds
from mlops.sources.layout import BARS, Batch, Layout, Source
from mlops.sources.providers import Asked, Provider, providers
from mlops.sources.sample import SampleSource
from mlops.sources.terms import require_terms
from mlops.sources.yahoo import YahooSource

__all__ = [
    "BARS",
    "EARNINGS",
    "Asked",
    "Batch",
    "FileSource",
    "Ingested",
    "Kind",
    "Layout",
    "Provider",
    "SampleSource",
    "Source",
    "YahooSource",
    "ingest_bars",
    "ingest_earnings",
    "kinds",
    "providers",
    "require_terms",
]
