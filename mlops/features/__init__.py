"""Features and labels, as dbt derives them."""

from mlops.features.build import VIEWS, BuildResult, ModelResult, build
from mlops.features.runner import profile_environment

__all__ = ["VIEWS", "BuildResult", "ModelResult", "build", "profile_environment"]
