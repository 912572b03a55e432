"""Models from arrays: pure, no connection.

`train` takes a spec and a matrix and gives a model as ONNX bytes with all that is known of it. A model family is a
module of its own, the only place where its library is imported, and then only when it is used.
"""

from mlops.training.train import FAMILIES, Progress, family, train

__all__ = ["FAMILIES", "Progress", "family", "train"]
