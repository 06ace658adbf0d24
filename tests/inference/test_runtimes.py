"""OpenVINO and ONNX Runtime as CPU backends: right answers, the contract, and why they are not used."""

from __future__ import annotations

import logging
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from networks import network, spectra

from spectf_cloud.errors import UsageError
from spectf_cloud.inference import available, promise
from spectf_cloud.inference.engines.onnx import runtimes
from spectf_cloud.inference.engines.onnx.runtimes import RUNTIMES, RuntimeBackend, open_runtime
from spectf_cloud.inference.engines.torch import TorchBackend
from spectf_cloud.inference.predict import pick_backend
from spectf_cloud.inference.promise import Unavailable
from spectf_cloud.models.load import load_model
from spectf_cloud.weights import find_weights

INSTALLED = [
    pytest.param(name, marks=pytest.mark.skipif(runtimes.lacking(name) is not None, reason=f"{name} is not installed"))
    for name in RUNTIMES
]


@pytest.fixture(autouse=True)
def _no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPECTF_SIMD", "none")
    monkeypatch.delenv("SPECTF_RUNTIME", raising=False)
    monkeypatch.setattr(logging.getLogger("spectf_cloud"), "propagate", True)


@pytest.mark.parametrize("runtime", INSTALLED)
def test_published_probabilities(reference: Path, monkeypatch: pytest.MonkeyPatch, runtime: str) -> None:
    golden = np.load(reference / "golden/emit_spectra.npz")
    model = load_model(find_weights(reference / "official/v0.1.0/weights.pt"), golden["wavelength"])
    toa, logits = golden["toa_reflectance"][::9], golden["logits_v0.1.0"][::9].astype(np.float64)
    backend = RuntimeBackend(runtime, model, 0.51, threads=1)
    np.testing.assert_allclose(backend(toa), 1 / (1 + np.exp(logits[:, 0] - logits[:, 1])), atol=2e-5)


@pytest.mark.parametrize("runtime", INSTALLED)
def test_a_pixels_result_is_its_own(runtime: str) -> None:
    model, toa = network(30), spectra(101, 30)
    together = RuntimeBackend(runtime, model, 0.51, threads=1)(toa)
    shuffled = np.random.default_rng(0).permutation(len(toa))
    several = RuntimeBackend(runtime, model, 0.51, threads=3)
    assert (several(toa[shuffled]) == together[shuffled]).all()
    assert (np.concatenate([several(toa[i : i + 7]) for i in range(0, 98, 7)]) == together[:98]).all()
    assert several(toa[:0]).shape == (0,)
    alone = RuntimeBackend(runtime, model, 0.51, threads=1)
    with ThreadPoolExecutor(4) as callers:
        assert all((made == together).all() for made in callers.map(alone, [toa] * 8))


@pytest.mark.parametrize("runtime", INSTALLED)
@pytest.mark.parametrize("shape", [{"num_layers": 2, "use_residual": True}, {"agg": "flat"}, {"agg": "mean"}])
def test_networks_the_kernel_does_not_know(
    monkeypatch: pytest.MonkeyPatch, runtime: str, shape: dict[str, object]
) -> None:
    monkeypatch.delenv("SPECTF_SIMD")
    monkeypatch.setenv("SPECTF_RUNTIME", runtime)
    model, toa = network(17, **shape), spectra(40, 17)
    backend = pick_backend(model, threads=1)
    assert (backend.name, backend.fidelity) == (f"{runtime}-float32", "faithful")
    np.testing.assert_allclose(backend(toa), TorchBackend(model, torch.device("cpu"), 1)(toa), atol=2e-5)


def test_exact_is_pytorch() -> None:
    assert pick_backend(network(9), fidelity="exact", threads=1).name == "torch-float32"


def test_order_and_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    assert runtimes.runtimes() == RUNTIMES == ("openvino", "onnxruntime")
    monkeypatch.setenv("SPECTF_RUNTIME", "ONNXRuntime")
    assert runtimes.runtimes() == ("onnxruntime",)
    monkeypatch.setenv("SPECTF_RUNTIME", "none")
    with pytest.raises(Unavailable, match="SPECTF_RUNTIME=none"):
        open_runtime(network(5), 0.5)
    monkeypatch.setenv("SPECTF_RUNTIME", "tflite")
    with pytest.raises(UsageError, match="openvino, onnxruntime or none"):
        open_runtime(network(5), 0.5)


def test_not_installed_means_pytorch_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for package in RUNTIMES:
        monkeypatch.setitem(sys.modules, package, None)
    with caplog.at_level(logging.INFO, "spectf_cloud"):
        assert pick_backend(network(9), threads=1).name == "torch-float32"
    assert "onnxruntime is not installed; pip install 'spectf-cloud[onnx]'" in caplog.text
    listed = {entry.name: entry for entry in available.backends()}
    assert not listed["openvino-float32"].available
    assert "spectf-cloud[openvino]" in listed["openvino-float32"].reason


@pytest.mark.parametrize("runtime", INSTALLED)
def test_a_broken_promise_is_passed_over(monkeypatch: pytest.MonkeyPatch, runtime: str) -> None:
    model = network(9)
    other = promise.make_probe(network(9, seed=8))  # answers of another network
    monkeypatch.setattr(runtimes, "make_probe", lambda _: other)
    monkeypatch.setenv("SPECTF_RUNTIME", runtime)
    with pytest.raises(Unavailable, match=f"{runtime}: probabilities differ from float32 by up to"):
        open_runtime(model, 0.51, threads=1)


def test_what_a_machine_has_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPECTF_RUNTIME", "openvino")
    listed = {entry.name: entry for entry in available.backends()}
    assert listed["onnxruntime-float32"].reason == "left out by SPECTF_RUNTIME" or runtimes.lacking("onnxruntime")
