"""Models from arrays: pure, no connection.

`find_spec` reads a specification by its name or file; `train` takes it and a matrix and gives a model as ONNX bytes
with all that is known of it. A model family is a module of its own, the only place where its library is
imported, and then only when it is used.
"""

from mlops.training.families import family, family_names
from mlops.training.specs import find_spec, load_spec, parse_spec, shipped_specs
from mlops.training.train import Progress, train

__all__ = ["Progress", "family", "family_names", "find_spec", "load_spec", "parse_spec", "shipped_specs", "train"]
