"""A SpecTf network as an ONNX graph, node by node: no tracing, and no operator younger than opset 18.

``fp32`` is the reference network. ``fp16`` and ``bf16`` are for runtimes that compute in the types a graph states
(TensorRT): matrix products take short operands, everything between them (embedding, LayerNorm, softmax, GELU,
pooling, head) is float32.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from spectf_cloud.errors import MissingExtraError
from spectf_cloud.model import WAVELENGTH_CENTRE_NM, WAVELENGTH_SCALE_NM, EncoderLayer, SpecTfEncoder

if TYPE_CHECKING:
    from onnx import ModelProto

Precision = Literal["fp32", "fp16", "bf16"]

OPSET = 18
# The oldest file format with that opset: older runtimes refuse a newer one.
_IR_VERSION = 8
TOA, WAVELENGTH, LOGITS, PROBABILITY = "toa_reflectance", "wavelength_nm", "logits", "cloud_probability"
_PIXELS, _BANDS = "pixels", "bands"
_TORCH_TYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def build_graph(model: SpecTfEncoder, precision: Precision = "fp32", *, fixed_bands: bool = False) -> ModelProto:
    """Return the network as a checked ONNX model.

    Inputs are ``toa_reflectance`` (pixels, bands) and ``wavelength_nm`` (bands,) float32, both sizes free. With
    ``fixed_bands``, and always for ``agg="flat"``, the model's own bands are part of the graph and the second input is
    absent. Outputs are ``logits`` (pixels, outputs) and, for two outputs, ``cloud_probability`` (pixels,), float32.

    Raises `MissingExtraError` without the onnx package.
    """
    onnx = import_onnx()
    model = copy.deepcopy(model).cpu()  # constants are bit-equal on any device of the network
    fixed = fixed_bands or model.config.agg == "flat"
    builder = _Builder(onnx, precision)
    logits = _network(builder, model, fixed)
    outputs = [(LOGITS, [_PIXELS, model.config.dim_output])]
    builder.add("Identity", logits, name=LOGITS)
    if model.config.dim_output == 2:
        shares = builder.add("Softmax", LOGITS, axis=-1)
        builder.add("Gather", shares, builder.whole(1), axis=1, name=PROBABILITY)
        outputs.append((PROBABILITY, [_PIXELS]))
    bands: int | str = len(model.wavelength) if fixed else _BANDS
    inputs = [(TOA, [_PIXELS, bands])] + ([] if fixed else [(WAVELENGTH, [bands])])
    graph = builder.finish(inputs, outputs)
    made: ModelProto = onnx.helper.make_model(
        graph, producer_name="spectf-cloud", ir_version=_IR_VERSION, opset_imports=[onnx.helper.make_opsetid("", OPSET)]
    )
    onnx.checker.check_model(made, full_check=True)
    return made


def import_onnx() -> Any:
    """Import the onnx package. Raises `MissingExtraError`."""
    try:
        import onnx
        import onnx.checker
        import onnx.helper
    except ImportError as error:
        raise MissingExtraError(f"onnx is not installed ({error}); pip install 'spectf-cloud[onnx]'") from error
    return onnx


def _network(graph: _Builder, model: SpecTfEncoder, fixed: bool) -> str:
    linear = model.spectral_embed.linear
    from_toa = graph.add("Mul", graph.add("Unsqueeze", TOA, graph.whole([2])), graph.number(linear.weight[:, 0]))
    if fixed:
        from_wavelength = graph.number(torch.outer(model.wavelength, linear.weight[:, 1]) + linear.bias)
    else:
        centred = graph.add("Sub", WAVELENGTH, graph.number(torch.tensor(WAVELENGTH_CENTRE_NM)))
        normalised = graph.add("Div", centred, graph.number(torch.tensor(WAVELENGTH_SCALE_NM)))
        column = graph.add("Unsqueeze", normalised, graph.whole([1]))
        from_wavelength = graph.add(
            "Add", graph.add("Mul", column, graph.number(linear.weight[:, 1])), graph.number(linear.bias)
        )
    tokens = graph.add("Tanh", graph.add("Add", from_toa, from_wavelength))
    for layer in model.layers:
        assert isinstance(layer, EncoderLayer)
        tokens = _layer(graph, layer, tokens)
    if model.config.agg == "flat":
        features = graph.add("Flatten", tokens, axis=1)
    else:
        reduce = "ReduceMax" if model.config.agg == "max" else "ReduceMean"
        features = graph.add(reduce, tokens, graph.whole([1]), keepdims=0)
    head = model.head
    return graph.add("Gemm", features, graph.number(head.weight), graph.number(head.bias), transB=1)


def _layer(graph: _Builder, layer: EncoderLayer, tokens: str) -> str:
    attended = _attention(graph, layer.attention.attention, _norm(graph, layer.norm1, tokens))
    tokens = graph.add("Add", tokens, attended) if layer.use_residual else attended
    hidden = _linear(graph, _norm(graph, layer.norm2, tokens), layer.ff.linear1.weight, layer.ff.linear1.bias)
    transformed = _linear(graph, _gelu(graph, hidden), layer.ff.linear2.weight, layer.ff.linear2.bias)
    return graph.add("Add", tokens, transformed) if layer.use_residual else transformed


def _attention(graph: _Builder, mha: nn.MultiheadAttention, tokens: str) -> str:
    dim, heads = mha.embed_dim, mha.num_heads
    weights, biases = mha.in_proj_weight.chunk(3), mha.in_proj_bias.chunk(3)
    scale = (dim // heads) ** -0.5  # into the queries, where it costs nothing

    def project(index: int, order: list[int], factor: float = 1.0) -> str:
        packed = _linear(graph, tokens, weights[index] * factor, biases[index] * factor)
        split = graph.add("Reshape", packed, graph.whole([0, 0, heads, dim // heads]))
        return graph.add("Transpose", split, perm=order)

    query, value = project(0, [0, 2, 1, 3], scale), project(2, [0, 2, 1, 3])
    share = graph.add("Softmax", graph.product(query, project(1, [0, 2, 3, 1])), axis=-1)
    mixed = graph.add("Transpose", graph.product(share, value), perm=[0, 2, 1, 3])
    joined = graph.add("Reshape", mixed, graph.whole([0, 0, dim]))
    return _linear(graph, joined, mha.out_proj.weight, mha.out_proj.bias)


def _linear(graph: _Builder, tokens: str, weight: Tensor, bias: Tensor) -> str:
    product = graph.product(tokens, graph.number(weight.T, graph.precision), shortened=True)
    return graph.add("Add", product, graph.number(bias))


def _norm(graph: _Builder, norm: nn.LayerNorm, tokens: str) -> str:
    scale, shift = graph.number(norm.weight), graph.number(norm.bias)
    return graph.add("LayerNormalization", tokens, scale, shift, axis=-1, epsilon=norm.eps)


def _gelu(graph: _Builder, x: str) -> str:
    """Add x/2 (1 + erf(x/√2)): the opset has no Gelu yet."""
    erf = graph.add("Erf", graph.add("Mul", x, graph.number(torch.tensor(0.5**0.5))))
    half = graph.add("Mul", x, graph.number(torch.tensor(0.5)))
    return graph.add("Mul", half, graph.add("Add", erf, graph.number(torch.tensor(1.0))))


@dataclass
class _Builder:
    """The nodes and constants added so far; every value is named after the node that makes it."""

    onnx: Any
    precision: Precision
    nodes: list[Any] = field(default_factory=list)
    constants: dict[str, Any] = field(default_factory=dict)

    def add(self, operator: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        """Add a node with one output and return the output's name."""
        output = name or f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def product(self, left: str, right: str, *, shortened: bool = False) -> str:
        """Add a MatMul of float32 values in the graph's precision, back in float32; ``shortened``: right already is."""
        if self.precision == "fp32":
            return self.add("MatMul", left, right)
        float32, short = self._type("fp32"), self._type(self.precision)
        left = self.add("Cast", left, to=short)
        right = right if shortened else self.add("Cast", right, to=short)
        return self.add("Cast", self.add("MatMul", left, right), to=float32)

    def number(self, value: Tensor, precision: Precision = "fp32") -> str:
        """Add a constant of this precision."""
        exact = value.detach().cpu().to(_TORCH_TYPES[precision]).contiguous()
        data = exact.reshape(-1).view(torch.uint8).numpy().tobytes()
        return self._constant(self._type(precision), exact.shape, data)

    def whole(self, value: int | list[int]) -> str:
        """Add a constant of whole numbers: axes, shapes, an index."""
        exact = torch.tensor(value, dtype=torch.int64)
        return self._constant(self.onnx.TensorProto.INT64, exact.shape, exact.numpy().tobytes())

    def finish(self, inputs: list[tuple[str, list[Any]]], outputs: list[tuple[str, list[Any]]]) -> Any:
        """Return the graph between these float32 inputs and outputs."""
        described = [
            [self.onnx.helper.make_tensor_value_info(name, self._type("fp32"), shape) for name, shape in group]
            for group in (inputs, outputs)
        ]
        return self.onnx.helper.make_graph(self.nodes, "spectf", *described, list(self.constants.values()))

    def _constant(self, kind: int, shape: tuple[int, ...], data: bytes) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants[name] = self.onnx.helper.make_tensor(name, kind, shape, data, raw=True)
        return name

    def _type(self, precision: Precision) -> int:
        types = self.onnx.TensorProto
        return {"fp32": int(types.FLOAT), "fp16": int(types.FLOAT16), "bf16": int(types.BFLOAT16)}[precision]
