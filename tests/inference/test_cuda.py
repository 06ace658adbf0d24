"""The CUDA kernel: its folded stages against the network, and itself through Triton's interpreter.

`test_inference_cuda_compile.py` compiles it for real devices.
"""

from __future__ import annotations

import os

os.environ["TRITON_INTERPRET"] = "1"  # before Triton is imported

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from networks import lively_model, smooth_spectra

from spectf_cloud.errors import UsageError
from spectf_cloud.inference.engines.cuda import cache as cuda_cache
from spectf_cloud.inference.engines.cuda import reference as stages
from spectf_cloud.inference.engines.cuda.tables import SLOTS, TILE, CudaTables, build_cuda_tables
from spectf_cloud.inference.engines.device import DeviceTorch, kernel_missing, open_device, open_kernel
from spectf_cloud.inference.engines.native.reduction import DIM, HEAD_DIM, HEADS
from spectf_cloud.inference.engines.native.tables import UnsupportedModelError
from spectf_cloud.inference.promise import Probe, Unavailable
from spectf_cloud.model import SpecTfEncoder
from spectf_cloud.models.load import load_model
from spectf_cloud.weights import find_weights

CPU = torch.device("cpu")
interpreted = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")


def made(bands: int, seed: int = 0) -> tuple[SpecTfEncoder, CudaTables, torch.Tensor]:
    model = lively_model(np.linspace(400, 2450, bands), seed)
    toa = smooth_spectra(40, bands)
    return model, build_cuda_tables(model, toa.astype(np.float64)), torch.from_numpy(toa)


def logit(model: SpecTfEncoder, toa: torch.Tensor) -> torch.Tensor:
    both = model(toa.unsqueeze(-1))
    return both[:, 1] - both[:, 0]


# the folded stages, in float64


def test_tokens_and_attention_are_those_of_the_network() -> None:
    model, tables, toa = made(33)
    exact, deep = model.double(), tables.to(CPU, torch.float64)
    toa = toa[:3].double()
    layer = exact.layers[0]
    plain = exact.spectral_embed(toa, exact.wavelength)
    norm = layer.norm1
    expected = torch.nn.functional.layer_norm(plain, (DIM,), eps=norm.eps)
    torch.testing.assert_close(stages.tokens(deep, toa), expected, rtol=0, atol=1e-6)
    query, key, value = (stage(deep, toa) for stage in (stages.queries, stages.keys, stages.values))
    assert query.shape == key.shape == value.shape == (3, HEADS, 33, SLOTS)
    packed = torch.nn.functional.linear(
        norm(plain), layer.attention.attention.in_proj_weight, layer.attention.attention.in_proj_bias
    )
    q, k, _ = packed.view(3, 33, 3, HEADS, HEAD_DIM).permute(2, 0, 3, 1, 4)
    weights = torch.softmax(q @ k.transpose(-1, -2) / HEAD_DIM**0.5, dim=-1)
    folded = torch.exp2(query @ key.transpose(-1, -2))
    torch.testing.assert_close(folded / folded.sum(-1, keepdim=True), weights, rtol=0, atol=1e-5)
    mixed = stages.attention(query, key, value)
    layer_out = (mixed @ deep.out).sum(dim=1) + deep.out_shift
    attended = layer.attention(norm(plain))
    attended = attended - attended.mean(-1, keepdim=True)
    torch.testing.assert_close(layer_out, attended, rtol=0, atol=1e-5)
    torch.testing.assert_close(stages.features(deep, mixed) + layer.ff.linear2.bias, layer(plain), rtol=0, atol=1e-5)


@pytest.mark.parametrize("bands", [2, 17, 130])
def test_the_folded_network_is_the_network(bands: int) -> None:
    model, tables, toa = made(bands)
    expected = logit(model.double(), toa[:8].double())
    folded = stages.logits(tables.to(CPU, torch.float64), toa[:8].double())
    torch.testing.assert_close(folded, expected, rtol=0, atol=2e-4)  # tables are rounded to float32


def test_other_shapes_and_wild_logits_are_refused() -> None:
    wavelength_nm = np.linspace(400, 2450, 20)
    toa = smooth_spectra(16, 20).astype(np.float64)
    with pytest.raises(UnsupportedModelError, match="num_layers is 2"):
        build_cuda_tables(SpecTfEncoder(wavelength_nm, num_layers=2), toa)
    wild = lively_model(wavelength_nm)
    wild.layers[0].attention.attention.in_proj_weight.mul_(8)
    with pytest.raises(UnsupportedModelError, match="the kernel holds"):
        build_cuda_tables(wild, toa)


@pytest.mark.parametrize("name", ["v0.1.0", "builtin"])
def test_rounded_as_on_a_device_the_promise_is_kept(reference: Path, name: str) -> None:
    golden = np.load(reference / "golden/emit_spectra.npz")
    toa = golden["toa_reflectance"].astype(np.float32)
    toa = toa[(toa.min(axis=1) >= -0.05) & (toa.max(axis=1) <= 1.75)]
    path = reference / f"official/{name}/weights.pt" if name.startswith("v") else name
    model = load_model(find_weights(path), golden["wavelength"])
    tables = build_cuda_tables(model, toa[::10].astype(np.float64))
    some = torch.from_numpy(toa[3::40])
    with torch.inference_mode():
        exact = logit(model, some).sigmoid()
        rounded = stages.logits(tables, some, rounded=True).sigmoid()
    assert (rounded - exact).abs().max() <= 0.02
    assert ((rounded > 0.51) == (exact > 0.51)).all()


# the kernel, interpreted


@interpreted
@pytest.mark.parametrize("bands", [2, 20, TILE, 75])
def test_the_kernel_is_its_reference(bands: int) -> None:
    from spectf_cloud.inference.engines.cuda.launch import CudaKernel, Variant

    model, tables, toa = made(bands)
    toa = toa[:4].clone()
    toa[1, -1], toa[2, 0] = 1.76, float("nan")
    answers = CudaKernel(tables, CPU, Variant(early=None))(toa)
    assert answers.isnan().tolist() == [False, True, True, False]
    # The interpreter cuts bfloat16 off where devices round it.
    expected = stages.logits(tables, toa, rounded=True)
    torch.testing.assert_close(answers[[0, 3]], expected[[0, 3]], rtol=0, atol=5e-3)
    torch.testing.assert_close(answers[[0, 3]], logit(model, toa)[[0, 3]], rtol=0, atol=5e-3)


@interpreted
@pytest.mark.parametrize("quarters", [0, 2, 3, 4])
def test_where_exponentials_are_made_hardly_matters(quarters: int) -> None:
    from spectf_cloud.inference.engines.cuda.launch import CudaKernel, Variant

    _, tables, toa = made(66)
    default = CudaKernel(tables, CPU, Variant(early=None))(toa[:1])
    other = CudaKernel(tables, CPU, Variant(early=None, quarters=quarters))(toa[:1])
    torch.testing.assert_close(other, default, rtol=0, atol=2e-3)


@interpreted
def test_a_pixel_is_done_when_its_logit_is_large_enough() -> None:
    from spectf_cloud.inference.engines.cuda.launch import CudaKernel, Variant

    _, tables, toa = made(130)
    toa = toa[:2]
    mixed = stages.attention(*(stage(tables, toa) for stage in (stages.queries, stages.keys, stages.values)))
    features = stages.features(tables, mixed)[:, tables.order.long()]
    running = features.cummax(dim=1).values @ tables.difference + tables.offset
    sizes = running[:, TILE - 1].abs()
    between = float(sizes.mean())
    answers = CudaKernel(tables, CPU, Variant(early=(between, float("inf"))))(toa)
    expected = torch.where(sizes > between, running[:, TILE - 1], running[:, -1])
    assert sizes.min() < between < sizes.max()
    torch.testing.assert_close(answers, expected, rtol=0, atol=1e-2)


@interpreted
def test_a_pixels_answer_is_its_own() -> None:
    from spectf_cloud.inference.engines.cuda.launch import CudaKernel, Variant

    _, tables, toa = made(20)
    kernel = CudaKernel(tables, CPU, Variant(programs=2))
    together = kernel(toa[:5])
    assert (kernel(toa[:5].flip(0)).flip(0) == together).all()
    assert (torch.cat([kernel(toa[:1]), kernel(toa[1:5])]) == together).all()
    assert kernel(toa[:0]).shape == (0,)


# the backend


@interpreted
def test_the_backend_keeps_its_promise_and_sends_the_rest_to_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    model, tables, toa = made(20)
    toa = toa.numpy()
    exact = DeviceTorch(model, CPU)
    probe = Probe(toa[:4], exact(toa[:4]), 4)
    monkeypatch.setattr(cuda_cache, "load_cuda_tables", lambda _: (tables, probe))
    backend = open_kernel(model, exact, "faithful", 0.51)
    assert (backend.name, backend.fidelity) == ("cuda-triton", "faithful")
    wild = toa[:4].copy()
    wild[1, 3], wild[2, 0] = 9.0, np.nan
    answers = backend(wild)
    assert answers[1] == exact(wild)[1]
    assert np.isnan(answers[2])
    assert np.abs(answers - exact(wild))[[0, 3]].max() < 0.02
    probe.probability[:] = 1 - probe.probability
    with pytest.raises(Unavailable, match=r"differ from float32 by up to 0\.\d+, 0\.02 is allowed"):
        open_kernel(model, exact, "faithful", 0.51)


def test_the_float32_network_in_blocks_is_the_network_whatever_their_size() -> None:
    model, _, toa = made(12)
    backend = DeviceTorch(model, CPU, batch=8)
    together = backend(toa.numpy())
    np.testing.assert_allclose(together, logit(model, toa).sigmoid().numpy(), rtol=0, atol=1e-6)
    assert (np.concatenate([backend(toa[i : i + 3].numpy()) for i in range(0, 40, 3)]) == together).all()
    assert backend(toa[:0].numpy()).shape == (0,)


def test_why_the_kernel_does_not_serve(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    assert kernel_missing(torch.device("mps")) == "the kernel is for NVIDIA GPUs, not mps"
    monkeypatch.setenv("SPECTF_CUDA", "torch")
    assert kernel_missing(torch.device("cuda")) == "SPECTF_CUDA=torch"
    monkeypatch.setenv("SPECTF_CUDA", "opencl")
    with pytest.raises(UsageError, match="'opencl'; use triton or torch"):
        kernel_missing(torch.device("cuda"))
    monkeypatch.delenv("SPECTF_CUDA")
    model, _, _ = made(12)
    with caplog.at_level("INFO", "spectf_cloud"):
        assert open_device(model, CPU, "faithful", 0.51).name == "torch-float32"
    assert "not cpu" in caplog.text


def test_tables_are_kept_for_the_next_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPECTF_CACHE_DIR", str(tmp_path))
    model = lively_model(np.linspace(400, 2450, 9))
    tables, probe = cuda_cache.load_cuda_tables(model)
    monkeypatch.setattr(cuda_cache, "make_probe", None)  # nothing is built again
    again, probe_again = cuda_cache.load_cuda_tables(model)
    for before, after in ((tables, again), (probe, probe_again)):
        for name, value in vars(before).items():
            np.testing.assert_array_equal(np.asarray(value), np.asarray(getattr(after, name)), err_msg=name)
            assert type(value) is type(getattr(after, name)), name
