"""Features and labels, as dbt derives them."""

from mlops.features.build import BuildResult, ModelResult, build, make_views

__all__ = ["BuildResult", "ModelResult", "build", "make_views"]
