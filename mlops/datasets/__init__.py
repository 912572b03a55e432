"""The training set: which rows, in which part of the split, and their matrix.

`materialise` chooses the rows in SQL and splits them by `plan_split`; `read_matrix` reads them into arrays and
`fingerprint` names what they hold; `clear` takes them away.
"""

from mlops.datasets.materialise import CAUSES, Materialised, clear, materialise
from mlops.datasets.matrix import fingerprint, read_matrix
from mlops.datasets.split import plan_split

__all__ = ["CAUSES", "Materialised", "clear", "fingerprint", "materialise", "plan_split", "read_matrix"]
