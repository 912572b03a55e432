"""The label of a version: what it has in common with those before it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mlops.registry.labels import Answer, Label, next_label


def answer(inputs: str = "technical-1", candidate: str = "gbm", **hyperparameters: int) -> Answer:
    return Answer([["features", "row", "technical", inputs, ["return_1"]]], (candidate, "trees", hyperparameters))


def labelled(*answers: Answer) -> list[str]:
    """Return the labels that versions get one after the other."""
    earlier: list[tuple[Answer, Label]] = []
    for each in answers:
        earlier.append((each, next_label(each, earlier)))
    return [f"{label.major}.{label.minor}.{label.patch}" for _, label in earlier]


def test_trained_again_the_patch_grows() -> None:
    assert labelled(answer(), answer(), answer()) == ["1.0.0", "1.0.1", "1.0.2"]


def test_candidates_in_turn_keep_their_minor_number() -> None:
    forest = answer(candidate="forest")
    assert labelled(answer(), forest, answer(), forest) == ["1.0.0", "1.1.0", "1.0.1", "1.1.1"]


def test_other_hyperparameters_are_another_minor_number() -> None:
    assert labelled(answer(leaves=4), answer(leaves=5), answer(leaves=4)) == ["1.0.0", "1.1.0", "1.0.1"]


def test_other_inputs_are_another_major_number_and_the_old_ones_go_on() -> None:
    newer = answer(inputs="technical-2")
    assert labelled(answer(), newer, answer(), newer, answer(leaves=9)) == ["1.0.0", "2.0.0", "1.0.1", "2.0.1", "1.1.0"]


@given(
    st.lists(st.builds(answer, st.sampled_from("ab"), st.sampled_from("xyz"), leaves=st.integers(1, 2)), max_size=12)
)
def test_no_two_versions_have_one_label(answers: list[Answer]) -> None:
    labels = labelled(*answers)
    assert len(set(labels)) == len(labels)
