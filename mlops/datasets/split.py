"""How the dates are divided into the three subsets: train, validation and test.

One split for all symbols, by date and never by row: rows of one date move together (a market-wide shock is in all of
them), so a date in two subsets would let training see the test subset.

A *date* is the UTC day of a row's `as_of` for daily bars, and `as_of` itself for shorter ones. The distinct dates of
all symbols are cut, in the order of time, at `train` and at `train + validation` of their number. Then, after
M. Lopez de Prado, Advances in Financial Machine Learning (2018), chapter 7, sections 7.4.1 and 7.4.2:

- *Purge.* A label looks `longest horizon` bars ahead, so the last rows of a subset have labels that are made of the
  next subset's prices. A row is `purged` where its last label is known at or after the moment at which the next subset
  begins. It goes by the row's own label, so that a symbol with missing bars is purged as far as its labels reach.
- *Embargo.* Features look back, so the first rows of a subset are made of the prices whose labels the subset before was
  trained on. The first `embargo` dates of validation and of test are `embargoed`. (Lopez de Prado's embargo is on the
  training rows after a test subset; here training never comes after, so the subset that is judged gives up the rows.)

A row that falls under both counts as embargoed.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from mlops.exceptions import DatasetError
from mlops.modelling import SplitPlan
from mlops.spec import SplitSpec


def plan_split(dates: Sequence[datetime], split: SplitSpec, longest_horizon: int) -> SplitPlan:
    """Return the split of `dates` (UTC, ascending, distinct) for labels that look `longest_horizon` bars ahead.

    Raises DatasetError where a subset would have no date left after purge and embargo.
    """
    n_dates = len(dates)
    n_train = round(n_dates * split.train)
    n_until_test = round(n_dates * (split.train + split.validation))
    counts = n_train, n_until_test - n_train, n_dates - n_until_test
    # What a subset has left: train loses its end, test its beginning, validation both.
    left = (
        counts[0] - longest_horizon,
        counts[1] - longest_horizon - split.embargo,
        counts[2] - split.embargo,
    )
    if min(left) < 1:
        raise DatasetError(
            f"{n_dates} dates with known labels are too few: they make parts of {counts[0]}, {counts[1]} and "
            f"{counts[2]} dates, of which the purge takes {longest_horizon} and the embargo {split.embargo}. "
            "Ingest a longer history, or ask for shorter horizons.",
            dates=n_dates,
        )
    return SplitPlan(
        train_from=dates[0],
        validation_from=dates[n_train],
        validation_open_from=dates[n_train + split.embargo],
        test_from=dates[n_until_test],
        test_open_from=dates[n_until_test + split.embargo],
        test_to=dates[-1],
        dates=counts,
        embargo=split.embargo,
        longest_horizon=longest_horizon,
    )
