"""The label of a version, major.minor.patch, by what it has in common with those before it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Label:
    """`major` grows with other inputs, `minor` with another method, `patch` when trained again."""

    major: int
    minor: int
    patch: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What the label of a version goes by.

    Attributes:
        inputs: what it was given: its labels, and of each input its name, kind, feature set, that set's version and the
            features' names.
        method: how it learnt from them: candidate, family and hyperparameters.
    """

    inputs: list[Any]
    method: tuple[str, str, dict[str, Any]]


def next_label(answer: Answer, earlier: Iterable[tuple[Answer, Label]]) -> Label:
    """Return the label of a version that gives `answer`, after the `earlier` ones of the same model, in any order.

    Versions of the same inputs share their major number; those of the same method also share the minor one.
    Two candidates that are trained in turn therefore keep theirs: 1.0.0, 1.1.0, 1.0.1, 1.1.1.
    """
    labels = [(each, label) for each, label in earlier]
    same_inputs = [(each, label) for each, label in labels if each.inputs == answer.inputs]
    same_method = [label for each, label in same_inputs if each.method == answer.method]
    if same_method:
        newest = max(same_method, key=lambda label: (label.major, label.minor, label.patch))
        return Label(newest.major, newest.minor, newest.patch + 1)
    if same_inputs:
        major = max(label.major for _, label in same_inputs)
        return Label(major, 1 + max(label.minor for _, label in same_inputs if label.major == major), 0)
    return Label(1 + max((label.major for _, label in labels), default=0), 0, 0)
