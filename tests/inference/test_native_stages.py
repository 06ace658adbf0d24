"""The kernel's stages one by one, against plain float64 arithmetic on the same inputs."""

from __future__ import annotations

import ctypes
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from networks import USABLE, lively_model, smooth_spectra
from numpy.typing import NDArray
from scipy.special import erf

from spectf_cloud.inference.engines.native import reduction
from spectf_cloud.inference.engines.native.build import Level
from spectf_cloud.inference.engines.native.kernel import Kernel
from spectf_cloud.inference.engines.native.reduction import DOMAIN, LOGIT_RANK, VALUE_RANK
from spectf_cloud.inference.engines.native.tables import Tables, build_tables
from spectf_cloud.model import SpecTfEncoder

STRIDE = 528  # kMaxBands of tables.h
HEAD = 3
pytestmark = pytest.mark.skipif(not any(map(shutil.which, ("c++", "g++", "clang++"))), reason="no C++ compiler")


WAVELENGTH_NM = np.linspace(400, 2450, 75)


@pytest.fixture(scope="module")
def model() -> SpecTfEncoder:
    return lively_model(WAVELENGTH_NM)


@pytest.fixture(scope="module")
def tables(model: SpecTfEncoder) -> Tables:
    return build_tables(model, smooth_spectra(40, len(WAVELENGTH_NM)).astype(np.float64))


@pytest.fixture(params=USABLE, ids=lambda level: level.name)
def stage(request: pytest.FixtureRequest, tables: Tables) -> Callable[..., int]:
    """Calls a stage of one level: arrays go as pointers, numbers as int or float."""
    level: Level = request.param
    kernel = Kernel(level, tables)

    def call(name: str, *arguments: object) -> int:
        function = getattr(kernel.library, f"spectf_{name}")
        return int(function(ctypes.byref(kernel.tables), *map(as_argument, arguments)))

    call.level = level.name  # type: ignore[attr-defined]
    return call


def as_argument(value: object) -> object:
    if isinstance(value, np.ndarray):
        return ctypes.c_void_p(value.ctypes.data)
    return ctypes.c_float(value) if isinstance(value, float) else value


def rows(count: int) -> NDArray[np.float32]:
    return np.zeros((count, STRIDE), np.float32)


def curves_in_float64(model: SpecTfEncoder, toa: NDArray[np.float32]) -> tuple[NDArray[np.float64], ...]:
    """q, k, v (rank, bands) of HEAD from the network itself: the published arithmetic, then the tables' directions."""
    weights = {name: value.double().numpy() for name, value in model.state_dict().items()}
    curve = reduction.TokenCurve.of(model, weights)
    typical = smooth_spectra(40, len(WAVELENGTH_NM)).astype(np.float64)
    q, k, v = curve.heads(curve.features(typical))
    to_query, to_key, key_mean = reduction.reduce_logits(q, k)
    out = weights["layers.0.attention.attention.out_proj.weight"]
    out = (out - out.mean(axis=0)).reshape(64, 8, 8).transpose(1, 0, 2)
    to_value, _, value_mean = reduction.reduce_values(v, out)
    q, k, v = curve.heads(curve.features(toa[None].astype(np.float64)))
    v_made = (v[:, HEAD] - value_mean[HEAD]) @ to_value[HEAD].T
    return (q[:, HEAD] @ to_query[HEAD].T).T, ((k[:, HEAD] - key_mean[HEAD]) @ to_key[HEAD].T).T, v_made.T


def test_curves(stage: Callable[..., int], model: SpecTfEncoder, tables: Tables) -> None:
    toa = smooth_spectra(1, tables.bands, seed=5)[0]
    toa[:3] = [DOMAIN[0], 0.0, DOMAIN[1]]
    q, k, v = rows(LOGIT_RANK), rows(LOGIT_RANK), rows(VALUE_RANK)
    assert stage("curves", toa, HEAD, q, k, v) == 0
    expected_q, expected_k, expected_v = curves_in_float64(model, toa)
    asked = tables.order[: tables.bands]
    assert np.abs(q[:, : tables.bands] - expected_q[:, asked]).max() < 2e-3
    assert np.abs(k[:, : tables.bands] - expected_k).max() < 2e-3
    # Values are scaled to ±1, direction by direction.
    made = v[:, : tables.bands].astype(np.float64)
    scale = (expected_v * made).sum(axis=1) / (made * made).sum(axis=1)
    assert np.abs(made * scale[:, None] - expected_v).max() < 2e-3 * np.abs(expected_v).max()
    assert np.abs(made).max() <= 1.001


def test_coarse_curves(model: SpecTfEncoder, tables: Tables) -> None:
    toa = smooth_spectra(1, tables.bands, seed=5)[0]
    expected_q, expected_k, _ = curves_in_float64(model, toa)
    n = tables.bands
    scaled = (toa.astype(np.float64) - 0.85) / 0.9
    asked = tables.order[:n]
    for first, values, variance, expected in (
        (0, scaled[asked], tables.query_variance, expected_q[:, asked]),
        (4, scaled, tables.variance, expected_k),
    ):
        sigma = np.sqrt([np.polyval(variance[:, b], values[b]) for b in range(n)])
        constant = (tables.query_constant if first == 0 else -tables.key_centre)[HEAD]
        for r in range(4):
            column = tables.coarse_curves[HEAD, first + r]
            made = np.array([np.polyval(column[:, b], values[b]) for b in range(n)]) / sigma + constant[r]
            assert np.abs(made - expected[r]).max() < 0.02 * np.abs(expected[r]).max()


def made_curves(tables: Tables, seed: int = 2) -> tuple[NDArray[np.float32], ...]:
    """q, k, v of plausible size in the int16 range the tables allow; neighbouring keys are alike."""
    random = np.random.default_rng(seed)
    x = np.linspace(0, 1, STRIDE)
    q, k, v = rows(LOGIT_RANK), rows(LOGIT_RANK), rows(VALUE_RANK)
    scale = tables.query_scale[HEAD]
    for made, limit in ((q, 32000 / scale), (k, 32000 * scale / 2**23), (v, np.ones(VALUE_RANK))):
        wave = np.sin(2 * np.pi * (random.uniform(0.5, 3, (len(made), 1)) * x + random.random((len(made), 1))))
        made[:] = wave * np.minimum(limit[: len(made), None], 2.0) * 0.7
    return q, k, v


def test_attention(stage: Callable[..., int], tables: Tables) -> None:
    q, k, v = made_curves(tables)
    fine, coarse = rows(VALUE_RANK), rows(6)
    assert stage("attention", HEAD, q, k, v, fine, coarse) == 0
    n = tables.bands
    # bfloat16 weights and values where there is VNNI
    fine_error = 4e-3 if stage.level == "avx512-vnni" else 1e-3  # type: ignore[attr-defined]
    for made, logit_rank, value_rank, error in ((fine, 6, 8, fine_error), (coarse, 4, 6, 4e-3)):
        logits = q[:logit_rank, : tables.padded].T.astype(np.float64) @ k[:logit_rank, :n].astype(np.float64)
        weight = np.exp2(logits - logits.max(axis=1, keepdims=True))
        expected = (weight / weight.sum(axis=1, keepdims=True)) @ v[:value_rank, :n].T.astype(np.float64)
        assert np.abs(made[:, : tables.padded].T - expected).max() < error


def test_merging_nothing_keeps_every_key(stage: Callable[..., int], tables: Tables) -> None:
    q, k, v = made_curves(tables)
    merged_k, merged_v, bias = rows(4), rows(6), rows(1)
    assert stage("merge", q, k, v, 0.0, merged_k, merged_v, bias) == tables.bands
    assert (np.sort(merged_k[:, : tables.bands]) == np.sort(k[:4, : tables.bands])).all()
    assert not bias[:, : tables.bands].any()


def test_merged_keys_count_all_bands_and_mean_what_they_replace(stage: Callable[..., int], tables: Tables) -> None:
    q, k, v = made_curves(tables)
    merged_k, merged_v, bias = rows(4), rows(6), rows(1)
    tolerance = 0.1 * np.log2(np.e)
    count = stage("merge", q, k, v, tolerance**2, merged_k, merged_v, bias)
    n = tables.bands
    assert 5 <= count < n
    # 2^bias is the group's size times a little for its spread: half the accepted variance at most.
    size = np.exp2(bias[0, :count].astype(np.float64))
    assert n <= size.sum() < n * np.exp(0.1**2)
    queries = q[:4, :n].T.astype(np.float64)
    whole = np.exp2(queries @ k[:4, :n])
    few = np.exp2(queries @ merged_k[:, :count] + bias[0, :count])
    assert np.abs(few.sum(axis=1) / whole.sum(axis=1) - 1).max() < 0.02
    expected = whole @ v[:6, :n].T / whole.sum(axis=1, keepdims=True)
    made = few @ merged_v[:, :count].T / few.sum(axis=1, keepdims=True)
    assert np.abs(made - expected).max() < 0.02


def test_tail(stage: Callable[..., int], tables: Tables) -> None:
    mixed = rows(64)
    mixed[:] = np.random.default_rng(3).uniform(-1, 1, mixed.shape) * 0.4
    features = rows(64)
    assert stage("tail", mixed, tables.padded, features) == 0
    inputs = np.vstack([mixed[:, : tables.padded].astype(np.float64), np.ones(tables.padded)])
    norm = np.square(tables.root.astype(np.float64) @ inputs).sum(axis=0) / 64 + tables.layer_norm_eps
    hidden = tables.hidden.astype(np.float64) @ inputs / np.sqrt(norm) + tables.hidden_bias[:, None]
    expected = tables.mixing.astype(np.float64) @ (hidden * 0.5 * (1 + erf(hidden / np.sqrt(2))))
    assert np.abs(features[:, : tables.padded] - expected).max() < 2e-3


def test_unmerged_cascade_is_the_network(model: SpecTfEncoder, tables: Tables, tmp_path: Path) -> None:
    from spectf_cloud.inference.engines.native.backend import _EVERYTHING

    toa = smooth_spectra(60, tables.bands, seed=9)
    exact = model(torch.from_numpy(toa)[..., None]).double().numpy()
    for level in USABLE:
        logits, _ = Kernel(level, tables).logits(toa, _EVERYTHING)
        assert np.abs(logits - (exact[:, 1] - exact[:, 0])).max() < 0.02, level.name
