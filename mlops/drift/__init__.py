"""Whether the data, or the model's accuracy, has changed since training."""

from mlops.drift.drift import DriftSummary, FeatureDrift, SymbolDrift, VersionDrift, measure

__all__ = ["DriftSummary", "FeatureDrift", "SymbolDrift", "VersionDrift", "measure"]
