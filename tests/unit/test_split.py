from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mlops.datasets import plan_split
from mlops.exceptions import DatasetError
from mlops.spec import SplitSpec

START = datetime(2010, 1, 1, tzinfo=UTC)


def dates(gaps: list[int]) -> list[datetime]:
    """Distinct ascending dates with holes between them, as holidays and closures leave."""
    found, day = [], START
    for gap in gaps:
        day += timedelta(days=gap)
        found.append(day)
    return found


@given(
    gaps=st.lists(st.integers(1, 9), min_size=1, max_size=400),
    train=st.floats(0.1, 0.8),
    validation=st.floats(0.05, 0.19),
    embargo=st.integers(0, 30),
    horizon=st.integers(1, 20),
)
def test_every_plan_is_chronological_and_keeps_its_embargo(
    gaps: list[int], train: float, validation: float, embargo: int, horizon: int
) -> None:
    assume(train + validation < 1)
    all_dates = dates(gaps)
    split = SplitSpec(train=train, validation=validation, embargo=embargo)
    try:
        plan = plan_split(all_dates, split, horizon)
    except DatasetError:
        # Refused only where a subset would be empty: with a generous number of dates it never is.
        smallest = min(train, validation, 1 - train - validation) * len(all_dates)
        assert smallest < horizon + embargo + 2
        return
    position = {date: i for i, date in enumerate(all_dates)}
    assert sum(plan.dates) == len(all_dates)
    assert position[plan.train_from] == 0
    assert position[plan.test_to] == len(all_dates) - 1
    assert position[plan.validation_from] == plan.dates[0]
    assert position[plan.test_from] == plan.dates[0] + plan.dates[1]
    assert position[plan.validation_open_from] - position[plan.validation_from] == embargo
    assert position[plan.test_open_from] - position[plan.test_from] == embargo
    assert plan.validation_open_from < plan.test_from
    assert plan.test_open_from <= plan.test_to
    # each subset keeps at least one date once those within reach of the next subset's first day are purged
    assert plan.dates[0] > horizon
    assert position[plan.test_from] - horizon > position[plan.validation_open_from]
    for count, fraction in zip(plan.dates, (train, validation, 1 - train - validation), strict=True):
        assert abs(count - fraction * len(all_dates)) <= 1


def test_1000_dates_are_cut_at_700_and_850() -> None:
    all_dates = dates([1] * 1000)
    plan = plan_split(all_dates, SplitSpec(train=0.70, validation=0.15, embargo=5), 20)
    assert plan.dates == (700, 150, 150)
    assert (plan.validation_from, plan.test_from) == (all_dates[700], all_dates[850])
    assert (plan.validation_open_from, plan.test_open_from) == (all_dates[705], all_dates[855])


def test_too_few_dates_are_refused_with_the_numbers() -> None:
    with pytest.raises(DatasetError, match=r"60 dates .* parts of 42, 9 and 9 dates, of which the purge takes 20"):
        plan_split(dates([1] * 60), SplitSpec(train=0.70, validation=0.15, embargo=5), 20)


def test_no_dates_are_refused() -> None:
    with pytest.raises(DatasetError, match="0 dates"):
        plan_split([], SplitSpec(train=0.70, validation=0.15, embargo=5), 1)
