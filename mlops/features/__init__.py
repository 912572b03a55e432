"""Features and labels, as dbt derives them."""

from mlops.features.build import BuildResult, ModelResult, build

__all__ = ["BuildResult", "ModelResult", "build"]
