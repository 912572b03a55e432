"""The thresholds of drift, with their sources."""

from __future__ import annotations

PSI_MONITOR_FROM = 0.10
PSI_ALERT_ABOVE = 0.25
"""Below 0.10 no change to speak of, up to 0.25 some, above that a shift (Siddiqi 2006, Credit Risk Scorecards, ch. 9).

They are a convention. How far PSI strays without any shift depends on the size of the samples (Yurdakul 2018,
Statistical Properties of Population Stability Index): where that alone comes up to 0.10, no verdict is given.
"""

PSI_SMALLEST_SHARE = 1e-4
"""The share that an empty bin counts as; the logarithm has no answer to zero."""

ACCURACY_NORMAL_ABOVE = -0.05
ACCURACY_ALERT_BELOW = -0.15
ACCURACY_EMERGENCY_BELOW = -0.25
"""Realised accuracy minus the validation baseline: above -5 points normal, below -15 alert, below -25 emergency.

In between, and on a boundary, the milder of the two that is not normal: exactly -5 is monitor, exactly -15 is monitor,
exactly -25 is alert.
"""
