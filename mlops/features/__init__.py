"""Features and labels, as dbt derives them."""

from mlops.features.build import VIEWS, BuildResult, ModelResult, build

__all__ = ["VIEWS", "BuildResult", "ModelResult", "build"]
