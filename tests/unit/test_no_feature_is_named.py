"""Features, labels and timeframes are data: what reads them names none, so that one more touches nothing here."""

from __future__ import annotations

import re
from pathlib import Path

from technical import TECHNICAL_FEATURES

ROOT = Path(__file__).parents[2]
NAMES = re.compile(rf"\b({'|'.join(TECHNICAL_FEATURES)}|features\.technical)\b")
ITS_OWN = {
    "expectations/20_features.yaml": {"return_1", "gap_1", "range_1"},  # computed again, for this set alone
    # What a specification names, as an example and in the file that declares it.
    "mlops/training/families/volatility_band.py": {"atr_14"},
    # As it stood at that revision.
    "migrations/versions/0010_models_and_candidates.py": {"atr_14"},
}


TIMEFRAMES = re.compile(r"""["'](m1|m5|m15|m30|h1|h4|d1|w1)["']|\b(?:forward_return|direction|known_at)_(\d+)\b""")
THEIR_OWN = {
    "mlops/domain.py": {"d1"},  # what is meant where none is said
    "mlops/sources/yahoo.py": {"m1", "m5", "m15", "m30", "h1", "h4", "d1", "w1"},  # what Yahoo calls them
}


def content(*folders: str) -> dict[str, str]:
    files = [
        file for folder in folders for file in (ROOT / folder).rglob("*") if file.suffix in {".py", ".sql", ".yaml"}
    ]
    assert len(files) > 100
    return {str(file.relative_to(ROOT)): file.read_text(encoding="utf-8") for file in files}


def test_nothing_but_the_set_itself_names_its_features() -> None:
    found = {
        name: set(NAMES.findall(text)) for name, text in content("mlops", "jobs", "migrations", "expectations").items()
    }
    assert {name: names for name, names in found.items() if names - ITS_OWN.get(name, set())} == {}


def test_no_timeframe_and_no_horizon_is_named() -> None:
    found = {
        name: {timeframe or horizon for timeframe, horizon in TIMEFRAMES.findall(text)}
        for name, text in content("mlops", "jobs", "expectations").items()
    }
    assert {name: names for name, names in found.items() if names - THEIR_OWN.get(name, set())} == {}
