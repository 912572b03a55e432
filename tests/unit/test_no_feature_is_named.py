"""Features are data: what reads them names none, so that one more touches its set's model and contract alone."""

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


def test_nothing_but_the_set_itself_names_its_features() -> None:
    files = [
        file
        for folder in ("mlops", "jobs", "migrations", "expectations")
        for file in (ROOT / folder).rglob("*")
        if file.suffix in {".py", ".sql", ".yaml"}
    ]
    assert len(files) > 100
    found = {str(file.relative_to(ROOT)): set(NAMES.findall(file.read_text(encoding="utf-8"))) for file in files}
    assert {name: names for name, names in found.items() if names - ITS_OWN.get(name, set())} == {}
