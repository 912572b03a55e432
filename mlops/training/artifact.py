"""The ONNX file of a model: the graph of its family, with what it takes and gives declared in its metadata.

Every file has one input, `features` [n, features], and the outputs `quantiles` and `probabilities` [n, horizons, 3].
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mlops.domain import QUANTILES
from mlops.modelling import ModelInput
from mlops.scoring import CLASSES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

OPSET = 17
ML_OPSET = 3
IR_VERSION = 8
"""Pinned: what ONNX Runtime has read since 2022, and the same bytes whatever version of `onnx` writes them."""

LARGEST = 5 * 1024 * 1024
"""Bytes that an artifact may have: it is a row of a table, is loaded whole, and goes over the wire at each forecast."""


def constant(name: str, values: NDArray[np.generic]) -> Any:  # noqa: ANN401 - onnx has no types
    """Return `values` as an initializer of the graph, float64 as float32."""
    import numpy as np
    from onnx import numpy_helper

    return numpy_helper.from_array(values.astype(np.float32) if values.dtype == np.float64 else values, name)


def assemble(nodes: Sequence[Any], constants: Sequence[Any], inputs: ModelInput, horizons: Sequence[int]) -> bytes:
    """Return the ONNX file of a graph that makes `quantiles` and `probabilities` of `features`.

    The same graph gives the same bytes: there is no time, path or random name in them.

    Args:
        nodes: onnx nodes in the order of their execution.
        constants: onnx initializers.
        inputs: what `features` holds.
        horizons: bars ahead, in the order of the outputs' second axis.
    """
    from onnx import TensorProto, checker, helper

    graph = helper.make_graph(
        nodes,
        "forecastle",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", len(inputs.features)])],
        [
            helper.make_tensor_value_info("quantiles", TensorProto.FLOAT, ["n", len(horizons), len(QUANTILES)]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", len(horizons), len(CLASSES)]),
        ],
        constants,
    )
    model = helper.make_model(
        graph,
        producer_name="forecastle",
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)],
        ir_version=IR_VERSION,
    )
    facts = {"inputs": [asdict(inputs)], "horizons": horizons, "quantiles": QUANTILES, "classes": CLASSES}
    for name, value in facts.items():
        model.metadata_props.add(key=name, value=json.dumps(value))
    checker.check_model(model)
    serialised: bytes = model.SerializeToString(deterministic=True)
    return serialised
