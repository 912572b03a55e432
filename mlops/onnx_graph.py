"""Check what a model's graph holds, in an ONNX file's bytes, before anything of it is run.

A graph without control flow runs each of its nodes once, so that nothing in it can go on for ever. No family of ours
needs more: trees, sums and products. What is looked for is refused by name; all else is ONNX Runtime's to judge.

The bytes are read as protobuf has them (https://protobuf.dev/programming-guides/encoding), by the field numbers of
onnx.proto: the package `onnx` takes longer to import than a forecast to be made.
"""

from __future__ import annotations

from collections.abc import Iterator

from mlops.exceptions import ScoringError

DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml"})
"""Where operators come from: ONNX itself. Not from extensions of a runtime, nor from libraries that it would load."""

CONTROL_FLOW = frozenset({"If", "Loop", "Scan", "SequenceMap"})
"""All operators of these domains that hold a graph of their own."""

_MODEL_GRAPH, _MODEL_FUNCTIONS = 7, 25
_GRAPH_NODE, _GRAPH_TENSORS = 1, {5, 15}
_NODE_OPERATOR, _NODE_ATTRIBUTE, _NODE_DOMAIN = 4, 5, 7
_ATTRIBUTE_TENSORS = {5, 10, 22, 23}
_TENSOR_EXTERNAL_DATA = 13
_SPARSE = {15, 22, 23}
"""Fields that hold sparse tensors: two tensors each, the values and where they are."""

_EXTERNAL_KEY = b"location"
"""Every tensor whose numbers are elsewhere says so under this key."""

_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5


def require_plain(model: bytes) -> None:
    """Return if the graph of `model` is made of plain operators and holds all its numbers itself.

    Raises ScoringError for control flow, functions of its own, operators of other domains, numbers in other files, and
    bytes that cannot be read.
    """
    try:
        parts = list(_fields(memoryview(model)))
        if any(number == _MODEL_FUNCTIONS for number, _ in parts):
            raise ScoringError("The model brings functions of its own, which Forecastle does not run.")
        graphs = [part for number, part in parts if number == _MODEL_GRAPH]
        for graph in graphs:
            for number, part in _fields(graph):
                if number == _GRAPH_NODE:
                    _require_plain_node(part)
        if _EXTERNAL_KEY in model and any(map(_keeps_numbers_elsewhere, graphs)):
            raise ScoringError("The model keeps numbers in another file, and Forecastle reads none beside the model.")
    except (IndexError, ValueError) as error:
        raise ScoringError("The model cannot be loaded: it is no ONNX file.") from error


def _require_plain_node(node: memoryview) -> None:
    texts = {number: bytes(part).decode() for number, part in _fields(node) if number in (_NODE_OPERATOR, _NODE_DOMAIN)}
    operator, domain = texts.get(_NODE_OPERATOR, ""), texts.get(_NODE_DOMAIN, "")
    if domain not in DOMAINS:
        raise ScoringError(f"The model uses the operator {operator} of {domain}, which Forecastle does not run.")
    if operator in CONTROL_FLOW:
        raise ScoringError(
            f"The model uses the operator {operator}: a graph that can repeat itself may never end, so Forecastle does "
            "not run it."
        )


def _keeps_numbers_elsewhere(graph: memoryview) -> bool:
    return any(
        number == _TENSOR_EXTERNAL_DATA for tensor in _tensors(graph, _GRAPH_TENSORS) for number, _ in _fields(tensor)
    )


def _tensors(message: memoryview, wanted: set[int]) -> Iterator[memoryview]:
    """Yield the tensors of a graph or of an attribute, those of a graph's nodes among them."""
    for number, part in _fields(message):
        if number in wanted & _SPARSE:
            yield from (tensor for _, tensor in _fields(part))
        elif number in wanted:
            yield part
        elif number == _GRAPH_NODE and wanted is _GRAPH_TENSORS:
            for inner, attribute in _fields(part):
                if inner == _NODE_ATTRIBUTE:
                    yield from _tensors(attribute, _ATTRIBUTE_TENSORS)


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield number and bytes of each field of a protobuf message; numbers are skipped, none is wanted.

    Raises ValueError or IndexError where the bytes are no such message.
    """
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            _, at = _varint(message, at)
        elif kind == _BYTES:
            length, at = _varint(message, at)
            if at + length > len(message):
                raise ValueError("a field is longer than its message")
            yield number, message[at : at + length]
            at += length
        elif kind in (_FIXED_32, _FIXED_64):
            at += 4 if kind == _FIXED_32 else 8
        else:
            raise ValueError(f"a field is of kind {kind}")


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number has more than 64 bits")
