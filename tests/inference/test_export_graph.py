"""The ONNX graph against the network it was written from, run by ONNX Runtime and by onnx's own interpreter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from networks import network, spectra
from onnx.reference import ReferenceEvaluator

from spectf_cloud.inference.engines.onnx.graph import OPSET, build_graph
from spectf_cloud.model import SpecTfEncoder
from spectf_cloud.models.load import load_model
from spectf_cloud.weights import find_weights

# Of float32 logits, as issue 7 asks.
CLOSE = 1e-4


def torch_logits(model: SpecTfEncoder, toa: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        answer: np.ndarray = model(torch.from_numpy(toa)[..., None]).numpy()
    return answer


def run(made: onnx.ModelProto, toa: np.ndarray, wavelength_nm: np.ndarray | None = None) -> dict[str, np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feed = {"toa_reflectance": toa}
    if wavelength_nm is not None:
        feed["wavelength_nm"] = wavelength_nm.astype(np.float32)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feed), strict=True))


@pytest.mark.parametrize("version", ["v0.1.0", "v0.0.1"])
def test_published_logits(reference: Path, version: str) -> None:
    golden = np.load(reference / "golden/emit_spectra.npz")
    some = slice(None, None, 12)
    toa, wavelength_nm = golden["toa_reflectance"][some], golden["wavelength"]
    model = load_model(find_weights(reference / f"official/{version}/weights.pt"), wavelength_nm)
    for made, bands in ((build_graph(model), wavelength_nm), (build_graph(model, fixed_bands=True), None)):
        answers = run(made, toa, bands)
        logits = golden[f"logits_{version}"][some]
        np.testing.assert_allclose(answers["logits"], logits, atol=CLOSE)
        expected = 1 / (1 + np.exp(logits[:, 0].astype(np.float64) - logits[:, 1]))
        np.testing.assert_allclose(answers["cloud_probability"], expected, atol=CLOSE / 4)


def test_one_graph_serves_any_bands_and_pixels(reference: Path) -> None:
    weights = find_weights(reference / "official/v0.1.0/weights.pt")
    made = build_graph(load_model(weights, np.linspace(400, 2450, 9)))
    rng = np.random.default_rng(3)
    for pixels, bands in ((1, 1), (3, 2), (5, 61), (2, 285)):
        wavelength_nm = rng.permutation(np.linspace(381, 2493, bands))
        toa = spectra(pixels, bands)
        expected = torch_logits(load_model(weights, wavelength_nm), toa)
        np.testing.assert_allclose(run(made, toa, wavelength_nm)["logits"], expected, atol=CLOSE)


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize(
    "shape",
    [
        {"num_layers": 3},
        {"use_residual": True, "num_layers": 2},
        {"agg": "mean"},
        {"agg": "flat"},
        {"num_heads": 2, "dim_proj": 32, "dim_ff": 48},
        {"num_heads": 1, "dim_proj": 8, "dim_output": 5},
    ],
    ids=lambda shape: "-".join(f"{key}={value}" for key, value in shape.items()),
)
def test_every_shape_of_network(shape: dict[str, object], fixed: bool) -> None:
    model = network(23, **shape)
    made = build_graph(model, fixed_bands=fixed)
    inputs = [value.name for value in made.graph.input]
    assert inputs == ["toa_reflectance"] + ["wavelength_nm"] * (not fixed and shape.get("agg") != "flat")
    toa = spectra(6, 23)
    answers = run(made, toa, np.linspace(400, 2450, 23) if len(inputs) == 2 else None)
    np.testing.assert_allclose(answers["logits"], torch_logits(model, toa), atol=CLOSE)
    assert ("cloud_probability" in answers) == (shape.get("dim_output", 2) == 2)


def test_what_the_file_states() -> None:
    made = build_graph(network(5))
    assert [(entry.domain, entry.version) for entry in made.opset_import] == [("", OPSET)]
    assert made.ir_version == 8
    shapes = {
        value.name: [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim]
        for value in (*made.graph.input, *made.graph.output)
    }
    assert shapes == {
        "toa_reflectance": ["pixels", "bands"],
        "wavelength_nm": ["bands"],
        "logits": ["pixels", 2],
        "cloud_probability": ["pixels"],
    }


@pytest.mark.parametrize(
    ("precision", "kind"), [("fp16", onnx.TensorProto.FLOAT16), ("bf16", onnx.TensorProto.BFLOAT16)]
)
def test_precision_lives_in_the_graph(precision: str, kind: int) -> None:
    """Matrix products take short operands, everything else float32; the interpreter takes every cast at its word."""
    model = network(12, seed=4)
    made = build_graph(model, precision, fixed_bands=True)  # type: ignore[arg-type]
    inferred = onnx.shape_inference.infer_shapes(made, strict_mode=True)
    types = {value.name: value.type.tensor_type.elem_type for value in inferred.graph.value_info}
    types |= {value.name: value.data_type for value in made.graph.initializer}
    for node in made.graph.node:
        if node.op_type == "MatMul":
            assert {types[name] for name in node.input} == {kind}
        elif node.op_type not in ("Cast", "Reshape", "Transpose"):
            assert all(types.get(name, 1) in (onnx.TensorProto.FLOAT, onnx.TensorProto.INT64) for name in node.input)
    toa = spectra(4, 12)
    (logits,) = ReferenceEvaluator(made).run(["logits"], {"toa_reflectance": toa})
    error = np.abs(logits - torch_logits(model, toa)).max()
    assert 1e-5 < error < {"fp16": 0.02, "bf16": 0.2}[precision]
