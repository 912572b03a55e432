"""Lists of symbols, such as the members of an index, as they were at each moment: what `[universe] list` names."""

from __future__ import annotations

from mlops.sources.events import KNOWN_AT, SYMBOL, Events
from mlops.sources.kinds import Kind
from mlops.sources.layout import Field, Layout

UNIVERSES = Layout(
    "universes",
    (
        Field("universe", ("list", "index", "listname", "indexname"), key=True),
        SYMBOL,
        Field("ts", ("from", "since", "start", "joined", "added", "date"), type="moment"),
        Field("until", ("to", "end", "left", "removed"), required=False, type="moment"),
        KNOWN_AT,
    ),
)
"""A stay of a symbol on a list: from `ts` on, and from `until` on not any more; without one it is still there."""

KIND = Kind(
    UNIVERSES,
    "Take lists of symbols in, with when each symbol joined and left.",
    Events(UNIVERSES, impossible=(("until <= ts", "until is not after ts"),)),
)
