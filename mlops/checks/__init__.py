"""Whether today's data may be used: Great Expectations against the warehouse, results in monitoring.

`daily` and `training` run the suites of `expectations/`; `gate` raises where one of them does not hold.
"""

from mlops.checks.findings import CheckFindings, CheckResult, gate
from mlops.checks.run import BEGINNING, TRAINING, daily, run, training
from mlops.checks.suites import names as suite_names

__all__ = [
    "BEGINNING",
    "TRAINING",
    "CheckFindings",
    "CheckResult",
    "daily",
    "gate",
    "run",
    "suite_names",
    "training",
]
