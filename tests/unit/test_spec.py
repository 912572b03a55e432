from __future__ import annotations

from pathlib import Path

from mlops.spec import Hyperparameters, Spec, load

SPECS = Path(__file__).parents[2] / "specs"


def test_every_spec_that_is_shipped_can_be_read_and_written_again() -> None:
    files = sorted(SPECS.glob("*.toml"))
    assert files
    for file in files:
        spec = load(file)
        assert spec.model == file.stem
        assert Spec.model_validate_json(spec.model_dump_json()) == spec


def test_what_a_spec_leaves_out_is_what_the_shipped_one_says() -> None:
    assert load(SPECS / "gbm_d1.toml").hyperparameters == Hyperparameters()
