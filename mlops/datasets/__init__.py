"""The training set: which rows, in which part of the split, and their matrix."""
