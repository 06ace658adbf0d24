"""The same float32 network in ONNX Runtime and OpenVINO, to measure against. Both read one ONNX graph."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from spectf_cloud.model import SpecTfEncoder

Spectra = NDArray[np.float32]
Compute = Callable[[Spectra], Spectra]
BATCH = {"ONNX Runtime float32": 1, "OpenVINO float32": 16}


class _Probability(nn.Module):
    def __init__(self, model: SpecTfEncoder) -> None:
        super().__init__()
        self.model = model

    def forward(self, toa: Tensor) -> Tensor:
        return torch.softmax(self.model(toa.unsqueeze(-1)), dim=-1)[:, 1]


def rivals(model: SpecTfEncoder) -> dict[str, Compute]:
    """Those installed, by name, each on one thread in batches of the size that suits it."""
    made: dict[str, Compute] = {}
    for name, open_one in (("ONNX Runtime float32", _onnxruntime), ("OpenVINO float32", _openvino)):
        try:
            made[name] = _in_batches(open_one(_graph(model, BATCH[name])), BATCH[name])
        except ImportError as error:
            print(f"{name} is not measured: {error}")
    return made


def _graph(model: SpecTfEncoder, batch: int) -> bytes:
    stream = io.BytesIO()
    example = torch.zeros(batch, len(model.wavelength))
    torch.onnx.export(_Probability(model).eval(), (example,), stream, opset_version=17, dynamo=False)
    return stream.getvalue()


def _onnxruntime(graph: bytes) -> Compute:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda toa: session.run(None, {name: toa})[0]


def _openvino(graph: bytes) -> Compute:
    import openvino

    core = openvino.Core()
    settings = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": 1,
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,
    }
    request = core.compile_model(core.read_model(graph), "CPU", settings).create_infer_request()
    return lambda toa: request.infer([toa])[0].copy()


def _in_batches(compute: Compute, batch: int) -> Compute:
    def run(toa: Spectra) -> Spectra:
        return np.concatenate([compute(toa[i : i + batch]) for i in range(0, len(toa) - len(toa) % batch, batch)])

    return run
