"""The native backend: its contract, its reasons not to serve, and that a pixel's result is its own."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from networks import USABLE, lively_model, smooth_spectra

from spectf_cloud.errors import UsageError
from spectf_cloud.inference import promise
from spectf_cloud.inference.engines.native import backend as native_backend
from spectf_cloud.inference.engines.native import build
from spectf_cloud.inference.engines.native.backend import NativeBackend, load_tables, open_native
from spectf_cloud.inference.engines.native.build import BuildError, Level
from spectf_cloud.inference.engines.native.kernel import Kernel, Plan, usable_levels
from spectf_cloud.inference.engines.native.reduction import DOMAIN
from spectf_cloud.inference.engines.torch import TorchBackend
from spectf_cloud.inference.predict import pick_backend, predict
from spectf_cloud.inference.promise import TIERS
from spectf_cloud.model import SpecTfEncoder
from spectf_cloud.models.load import load_model
from spectf_cloud.weights import find_weights

WAVELENGTH_NM = np.linspace(390, 2490, 61)
# Without a compiler there is no kernel to test; with one, a kernel that cannot serve is a failure, not a skip.
pytestmark = pytest.mark.skipif(not any(map(shutil.which, ("c++", "g++", "clang++"))), reason="no C++ compiler")


@pytest.fixture(scope="module", autouse=True)
def _no_level_forced() -> None:
    os.environ.pop("SPECTF_SIMD", None)


@pytest.fixture(autouse=True)
def _kernel_or_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is installed beside PyTorch does not matter here."""
    monkeypatch.setenv("SPECTF_RUNTIME", "none")


@pytest.fixture(autouse=True)
def _log_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands tested earlier in the same process keep the log to themselves."""
    monkeypatch.setattr(logging.getLogger("spectf_cloud"), "propagate", True)


@pytest.fixture(scope="module")
def model() -> SpecTfEncoder:
    return lively_model(WAVELENGTH_NM)


@pytest.fixture
def backend(model: SpecTfEncoder) -> NativeBackend:
    return open_native(model, "faithful", 0.51, threads=1)


@pytest.mark.parametrize("level", [level.name for level in USABLE])
@pytest.mark.parametrize("version", ["v0.1.0", "v0.0.1"])
def test_contract_on_golden_spectra(reference: Path, monkeypatch: pytest.MonkeyPatch, level: str, version: str) -> None:
    golden = np.load(reference / "golden/emit_spectra.npz")
    toa, logits = golden["toa_reflectance"], golden[f"logits_{version}"].astype(np.float64)
    probability = 1 / (1 + np.exp(logits[:, 0] - logits[:, 1]))
    model = load_model(find_weights(reference / f"official/{version}/weights.pt"), golden["wavelength"])
    monkeypatch.setenv("SPECTF_SIMD", level)
    for fidelity in ("faithful", "fast"):
        backend = pick_backend(model, fidelity=fidelity, threads=1)
        assert (backend.name, backend.fidelity) == (f"native-{level}", fidelity)
        made = backend(toa)
        if fidelity == "faithful":
            assert np.abs(made - probability).max() <= TIERS[fidelity].largest_error
            assert ((made > 0.51) == (probability > 0.51)).all()
        assert ((made > 0.51) != (probability > 0.51)).mean() <= TIERS[fidelity].flips


@pytest.mark.parametrize("version", ["v0.1.0", "v0.0.1"])
def test_aviris_ng_with_its_own_bands(reference: Path, version: str) -> None:
    golden = np.load(reference / "golden/avirisng_20170323.npz")
    kept = np.isin(golden["wavelength"], golden["kept_wavelength"])
    toa = golden["toa"][:, :, kept].reshape(100, -1).astype(np.float32)
    logits = golden[f"logits_{version}"].reshape(100, 2).astype(np.float64)
    model = load_model(find_weights(reference / f"official/{version}/weights.pt"), golden["kept_wavelength"])
    backend = pick_backend(model, threads=1)
    assert backend.name.startswith("native-")
    made = backend(toa)
    assert np.abs(made - 1 / (1 + np.exp(logits[:, 0] - logits[:, 1]))).max() <= TIERS["faithful"].largest_error


def test_results_do_not_depend_on_company_position_or_threads(model: SpecTfEncoder, backend: NativeBackend) -> None:
    toa = smooth_spectra(1100, len(WAVELENGTH_NM), seed=4)
    together = backend(toa)
    shuffled = np.random.default_rng(0).permutation(len(toa))
    assert (backend(toa[shuffled]) == together[shuffled]).all()
    assert (np.concatenate([backend(toa[i : i + 7]) for i in range(0, 70, 7)]) == together[:70]).all()
    threaded = open_native(model, "faithful", 0.51, threads=3)
    assert (threaded(toa) == together).all()


def test_rows_outside_the_domain_take_the_float32_path(model: SpecTfEncoder, backend: NativeBackend) -> None:
    toa = smooth_spectra(40, len(WAVELENGTH_NM), seed=6)
    toa[3, 5], toa[8, 0], toa[11, -1] = DOMAIN[1] + 0.01, DOMAIN[0] - 0.001, 40.0
    toa[20, 7] = np.nan
    exact = TorchBackend(model, torch.device("cpu"), 1)(toa)
    made = backend(toa)
    assert (made[[3, 8, 11]] == exact[[3, 8, 11]]).all()
    assert np.isnan(made[20])
    assert np.abs(np.delete(made - exact, 20)).max() <= TIERS["faithful"].largest_error


def test_pixels_near_the_threshold_are_float32(model: SpecTfEncoder) -> None:
    toa = smooth_spectra(400, len(WAVELENGTH_NM), seed=8)
    exact = TorchBackend(model, torch.device("cpu"), 1)(toa)
    threshold = float(np.median(exact))
    made = open_native(model, "faithful", threshold, threads=1)(toa)
    near = np.abs(exact - threshold) < 0.002
    assert near.any()
    assert np.abs(made[near] - exact[near]).max() < 2e-6  # batches of another size round differently


def test_no_pixels(backend: NativeBackend) -> None:
    assert backend(np.empty((0, len(WAVELENGTH_NM)), np.float32)).shape == (0,)


@pytest.mark.parametrize("bands", [2, 3, 17, 130])
def test_odd_band_counts(bands: int) -> None:
    wavelength_nm = np.linspace(450, 2400, bands)
    model = lively_model(wavelength_nm, seed=3)
    toa = smooth_spectra(64, bands)
    made = pick_backend(model, threads=1)(toa)
    exact = TorchBackend(model, torch.device("cpu"), 1)(toa)
    assert np.abs(made - exact).max() <= TIERS["faithful"].largest_error


@pytest.mark.parametrize(
    "change", [{"agg": "mean"}, {"use_residual": True}, {"num_layers": 2}, {"dim_ff": 32}, {"num_heads": 4}]
)
def test_other_shapes_are_served_by_pytorch(change: dict[str, object], caplog: pytest.LogCaptureFixture) -> None:
    other = SpecTfEncoder(WAVELENGTH_NM, **change).eval()  # type: ignore[arg-type]
    with caplog.at_level(logging.INFO, "spectf_cloud"):
        assert pick_backend(other, threads=1).name == "torch-float32"
    assert f"{next(iter(change))} is {next(iter(change.values()))}" in caplog.text


def test_no_compiler_means_pytorch(
    model: SpecTfEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    held = load_tables(model)
    monkeypatch.setattr(build, "CARRIED", tmp_path / "none")
    monkeypatch.setattr(native_backend, "load_tables", lambda _: held)
    monkeypatch.setenv("SPECTF_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    with caplog.at_level(logging.INFO, "spectf_cloud"):
        backend = pick_backend(model, threads=1)
    assert (backend.name, backend.fidelity) == ("torch-float32", "exact")
    assert "no C++ compiler" in caplog.text


def test_a_library_that_others_may_have_written_is_not_loaded(
    model: SpecTfEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "CARRIED", tmp_path / "none")
    monkeypatch.setenv("SPECTF_CACHE_DIR", str(tmp_path))
    portable = build.levels()[-1]
    library = build.compile_level(portable, tmp_path / "kernels")
    library.chmod(0o666)
    with pytest.raises(BuildError, match="anyone may write to it"):
        Kernel(portable, load_tables(model)[0])


def test_broken_promise_falls_back(
    model: SpecTfEncoder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    careless = promise.Tier((Plan(5.0, 0.0, 0.0, 0.0, (0.0,) * 5),), 1e-6, 0.0, (0.0, 0.0))
    monkeypatch.setitem(TIERS, "faithful", careless)
    with caplog.at_level(logging.INFO, "spectf_cloud"):
        assert pick_backend(model, threads=1).name == "torch-float32"
    assert "differ from float32 by up to" in caplog.text


def test_the_quickest_plan_that_has_a_margin_serves(model: SpecTfEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    careless, careful = Plan(5.0, 0.0, 0.0, 0.0, (0.0,) * 5), TIERS["faithful"].plans[-1]
    for plans, chosen in (((careless, careful), careful), ((careful, careless), careful)):
        monkeypatch.setitem(TIERS, "faithful", promise.Tier(plans, 0.02, 0.0005, (0.02, 0.004)))
        assert open_native(model, "faithful", 0.51, threads=1).plan is chosen


def test_simd_none_and_unknown(model: SpecTfEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPECTF_SIMD", "none")
    assert pick_backend(model, threads=1).name == "torch-float32"
    monkeypatch.setenv("SPECTF_SIMD", "mmx")
    with pytest.raises(UsageError, match="portable"):
        usable_levels()


def test_tables_come_from_the_cache_and_a_damaged_one_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: SpecTfEncoder
) -> None:
    monkeypatch.setenv("SPECTF_CACHE_DIR", str(tmp_path))
    first, _ = load_tables(model)
    (stored,) = (tmp_path / "tables").iterdir()
    again, probe = load_tables(model)
    for name, value in first.to_arrays().items():
        assert (value == again.to_arrays()[name]).all(), name
    assert probe.toa.shape[1] == len(WAVELENGTH_NM)
    stored.write_bytes(stored.read_bytes()[:1000])
    rebuilt, _ = load_tables(model)
    assert (rebuilt.curves == first.curves).all()


def test_predict_uses_the_kernel(model: SpecTfEncoder) -> None:
    toa = smooth_spectra(30, len(WAVELENGTH_NM), seed=2)
    made = predict(toa, WAVELENGTH_NM, weights=model)
    exact = predict(toa, WAVELENGTH_NM, weights=model, fidelity="exact")
    assert np.abs(made - exact).max() <= TIERS["faithful"].largest_error


def test_kernel_says_what_it_did(model: SpecTfEncoder) -> None:
    kernel = Kernel(USABLE[0], load_tables(model)[0])
    _, statistics = kernel.logits(smooth_spectra(50, len(WAVELENGTH_NM)), TIERS["faithful"].plans[0])
    assert 1 <= statistics.keys <= len(WAVELENGTH_NM)
    assert 0 < statistics.asked <= 1
    assert 0 <= statistics.redone <= 1


@pytest.mark.parametrize("level", USABLE, ids=lambda level: level.name)
def test_coarse_pass_stops_where_told_to(model: SpecTfEncoder, level: Level) -> None:
    kernel = Kernel(level, load_tables(model)[0])
    toa = smooth_spectra(50, len(WAVELENGTH_NM))
    never = Plan(0.0, 0.0, 0.0, 0.0, (np.inf,) * 5)
    at_once = Plan(0.0, 0.0, 0.0, 0.0, (-np.inf,) * 5)
    whole, statistics = kernel.logits(toa, never)
    assert (statistics.asked, statistics.redone) == (1, 0)
    few, statistics = kernel.logits(toa, at_once)
    assert statistics.asked == pytest.approx(16 / 64)  # one vector of 61 bands
    assert np.abs(whole - few).max() > 1e-3
    exact = TorchBackend(model, torch.device("cpu"), 1)(toa).astype(np.float64)
    assert np.abs(1 / (1 + np.exp(-whole)) - exact).max() < 0.05
