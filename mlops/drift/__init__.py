"""Whether the world, or the model's luck, has changed."""

from mlops.drift.drift import DriftReport, FeatureDrift, SymbolDrift, VersionDrift, measure

__all__ = ["DriftReport", "FeatureDrift", "SymbolDrift", "VersionDrift", "measure"]
