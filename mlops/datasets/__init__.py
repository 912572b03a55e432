"""The training set: which rows, in which subset of the split, and their matrix.

`materialise` chooses the rows in SQL and splits them by `plan_split`; `read_matrix` reads them into arrays and
`fingerprint` names what they hold; `leave_out` takes away those of symbols, and `clear` all.
"""

from mlops.datasets.materialise import CAUSES, Materialised, clear, leave_out, materialise
from mlops.datasets.matrix import fingerprint, read_matrix
from mlops.datasets.split import plan_split

__all__ = ["CAUSES", "Materialised", "clear", "fingerprint", "leave_out", "materialise", "plan_split", "read_matrix"]
