"""TensorRT through the stand-in: numbers, cards, caches, refusals, and the whole deploy-trt command."""

from __future__ import annotations

import gc
import json
import logging
import sys
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import standin_tensorrt as standin
import torch
import yaml
from networks import network, spectra
from standin_tensorrt import Builder, Memory, StandinDevice

from spectf_cloud.__main__ import main
from spectf_cloud.errors import EngineError, MissingExtraError, UsageError
from spectf_cloud.inference import available, promise
from spectf_cloud.inference.engines.onnx.graph import build_graph
from spectf_cloud.inference.engines.tensorrt import backend as trt_backend
from spectf_cloud.inference.engines.tensorrt import build, device, library
from spectf_cloud.inference.engines.tensorrt.backend import device_number, open_tensorrt
from spectf_cloud.inference.engines.tensorrt.card import card_path
from spectf_cloud.inference.engines.tensorrt.runner import EngineRunner
from spectf_cloud.inference.engines.torch import TorchBackend
from spectf_cloud.inference.predict import pick_backend
from spectf_cloud.model import SpecTfEncoder
from spectf_cloud.models.load import load_model
from spectf_cloud.weights import find_weights

from scene_files import arrays, raster, write_emit

BANDS = 14


@pytest.fixture(autouse=True)
def gpu(monkeypatch, tmp_path):
    """TensorRT and a GPU, both stood in for; batches of a few pixels, and a cache of the test's own."""
    monkeypatch.setitem(sys.modules, "tensorrt", standin)
    monkeypatch.setattr(standin, "__version__", "10.13.0.35")
    made = StandinDevice()
    monkeypatch.setattr(device, "open_device", lambda number: made)
    monkeypatch.setattr(build, "_MAX_BATCH", 16)
    monkeypatch.setenv("SPECTF_CACHE_DIR", str(tmp_path / "cache"))
    Builder.built = 0
    yield made
    assert made.stream.done == len(made.stream.queue), "work was left on the stream"


@pytest.fixture
def model() -> SpecTfEncoder:
    return network(BANDS)


def exact(model: SpecTfEncoder, toa: np.ndarray) -> np.ndarray:
    return TorchBackend(model, torch.device("cpu"), 1)(toa)


def engines(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "cache/engines").glob("*.engine"))


@pytest.mark.parametrize("version", ["10.12.0.36", "10.13.0.35", "11.0.0.114"])
@pytest.mark.parametrize("pixels", [0, 1, 16, 17, 70])
def test_answers_of_any_number_of_pixels(model, monkeypatch, version, pixels):
    monkeypatch.setattr(standin, "__version__", version)
    backend = open_tensorrt(model, "tensorrt", "exact", 0.5)
    assert (backend.name, backend.fidelity, backend.runner.batch) == ("tensorrt-fp32", "exact", 16)
    toa = spectra(pixels, BANDS)
    for _ in range(2):  # buffers are used again
        np.testing.assert_allclose(backend(toa), exact(model, toa), atol=2e-6)


@pytest.mark.parametrize("shape", [{"num_layers": 2, "use_residual": True}, {"agg": "flat"}, {"agg": "mean"}])
def test_other_networks(shape):
    model, toa = network(BANDS, **shape), spectra(20, BANDS)
    np.testing.assert_allclose(open_tensorrt(model, "tensorrt:0", "exact", 0.5)(toa), exact(model, toa), atol=5e-6)


def test_faithful_is_half_precision_with_the_float32_mask(reference):
    golden = np.load(reference / "golden/emit_spectra.npz")
    toa, logits = golden["toa_reflectance"][::9], golden["logits_v0.1.0"][::9].astype(np.float64)
    model = load_model(find_weights(reference / "official/v0.1.0/weights.pt"), golden["wavelength"])
    backend = pick_backend(model, device="tensorrt", fidelity="faithful", threshold=0.51)
    assert (backend.name, backend.fidelity) == ("tensorrt-fp16", "faithful")
    probability = 1 / (1 + np.exp(logits[:, 0] - logits[:, 1]))
    made = backend(toa)
    assert 1e-5 < np.abs(made - probability).max() < 0.02
    assert ((made > 0.51) == (probability > 0.51)).all()


def test_pixels_near_the_threshold_are_float32(model):
    toa = spectra(60, BANDS)
    right = exact(model, toa)
    threshold = float(np.median(right))
    made = open_tensorrt(model, "tensorrt", "faithful", threshold)(toa)
    near = np.abs(right - threshold) < 0.015
    assert near.any()
    np.testing.assert_allclose(made[near], right[near], atol=2e-6)


def test_half_precision_that_breaks_the_promise_gives_way_to_float32(model, monkeypatch):
    strict = replace(promise.TIERS["faithful"], largest_error=1e-5)
    monkeypatch.setitem(trt_backend._TIERS, "faithful", strict)
    assert open_tensorrt(model, "tensorrt", "faithful", 0.5).name == "tensorrt-fp32"
    assert Builder.built == 2
    monkeypatch.setitem(trt_backend._TIERS, "faithful", replace(strict, largest_error=1e-9))
    with pytest.raises(EngineError, match=r"no TensorRT engine keeps fidelity faithful \(fp16: .*; fp32: "):
        open_tensorrt(model, "tensorrt", "faithful", 0.5)


def test_an_engine_is_built_once_for_each_thing_it_follows_from(model, tmp_path, monkeypatch, gpu):
    def built(network: SpecTfEncoder, fidelity: str = "exact") -> int:
        before = Builder.built
        open_tensorrt(network, "tensorrt", fidelity, 0.5)
        return Builder.built - before

    assert built(model) == 1
    assert built(model) == 0
    assert built(network(BANDS)) == 0  # the same weights again
    assert built(network(BANDS, seed=5)) == 1
    assert built(network(BANDS + 1)) == 1
    assert built(model, "faithful") == 1
    monkeypatch.setattr(gpu, "name", "Another GPU")
    assert built(model) == 1
    monkeypatch.setattr(standin, "__version__", "11.0.0.114")
    assert built(model) == 1
    assert len(engines(tmp_path)) == 6


def test_a_damaged_engine_of_the_cache_is_built_again(model, tmp_path):
    open_tensorrt(model, "tensorrt", "exact", 0.5)
    (path,) = engines(tmp_path)
    card = card_path(path).read_text()
    path.write_bytes(path.read_bytes()[:-7])
    open_tensorrt(model, "tensorrt", "exact", 0.5)
    card_path(path).unlink()
    open_tensorrt(model, "tensorrt", "exact", 0.5)
    card_path(path).write_text("engine_sha256: [")
    open_tensorrt(model, "tensorrt", "exact", 0.5)
    assert Builder.built == 4
    plan = b"whole, but TensorRT does not take it"
    card_path(path).write_text(yaml.safe_dump(yaml.safe_load(card) | {"engine_sha256": sha256(plan).hexdigest()}))
    path.write_bytes(plan)
    open_tensorrt(model, "tensorrt", "exact", 0.5)
    assert Builder.built == 5


def test_a_cache_that_cannot_be_written_costs_only_time(model, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(logging.getLogger("spectf_cloud"), "propagate", True)
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("SPECTF_CACHE_DIR", str(tmp_path / "file"))
    toa = spectra(3, BANDS)
    made = open_tensorrt(model, "tensorrt", "exact", 0.5)(toa)
    np.testing.assert_allclose(made, exact(model, toa), atol=2e-6)
    assert "the engine is not kept" in caplog.text


def test_what_was_timed_is_used_again_unless_it_is_foreign(model, tmp_path, monkeypatch):
    open_tensorrt(model, "tensorrt", "exact", 0.5)
    (timing,) = (tmp_path / "cache/engines").glob("*.timing")
    assert timing.read_bytes() == b"10.13.0.35 Stand-in GPU;timed"
    open_tensorrt(network(BANDS, seed=2), "tensorrt", "exact", 0.5)
    assert timing.read_bytes().endswith(b"timedtimed")
    for seed, unusable in ((3, b"1.0 Other GPU;timed"), (4, b"damaged")):
        timing.write_bytes(unusable)
        open_tensorrt(network(BANDS, seed=seed), "tensorrt", "exact", 0.5)
        assert timing.read_bytes() == b"10.13.0.35 Stand-in GPU;timed"


def given(model: SpecTfEncoder, tmp_path: Path) -> Path:
    """An engine file as export engine leaves it."""
    open_tensorrt(model, "tensorrt", "exact", 0.5)
    return engines(tmp_path)[0]


def test_a_given_engine_serves_without_building(model, tmp_path):
    path, toa = given(model, tmp_path), spectra(9, BANDS)
    backend = open_tensorrt(model, "tensorrt", "faithful", 0.5, path)
    assert (backend.name, backend.fidelity, Builder.built) == ("tensorrt-fp32", "faithful", 1)
    np.testing.assert_allclose(backend(toa), exact(model, toa), atol=2e-6)


def test_engines_of_something_else_are_refused(model, tmp_path, monkeypatch, gpu):
    path = given(model, tmp_path)

    def refused(network: SpecTfEncoder = model) -> str:
        with pytest.raises(EngineError) as caught:
            open_tensorrt(network, "tensorrt", "exact", 0.5, path)
        assert caught.value.exit_code == 4
        return str(caught.value)

    assert "other weights" in refused(network(BANDS, seed=9))
    assert "other number of bands (14, here 12)" in refused(network(12)).replace("band centres, ", "")
    monkeypatch.setattr(gpu, "name", "Another GPU")
    assert "other GPU (Stand-in GPU, here Another GPU)" in refused()
    monkeypatch.setattr(gpu, "name", "Stand-in GPU")
    monkeypatch.setattr(standin, "__version__", "11.0.0.114")
    message = refused()
    assert "other TensorRT (10.13.0.35, here 11.0.0.114)" in message
    assert "spectf-cloud export engine" in message
    monkeypatch.undo()


def test_engine_files_that_are_not_whole_are_refused(model, tmp_path):
    path = given(model, tmp_path)
    whole, card = path.read_bytes(), card_path(path).read_text()

    def refused(match: str) -> None:
        with pytest.raises(EngineError, match=match):
            open_tensorrt(model, "tensorrt", "exact", 0.5, path)

    path.write_bytes(whole + b"\0")
    refused("sha256 differs")
    values = yaml.safe_load(card)
    for changed, match in (
        ({**values, "precision": "fp4"}, "fp4"),
        ({key: value for key, value in values.items() if key != "gpu"}, "lacks 'gpu'"),
    ):
        card_path(path).write_text(yaml.safe_dump(changed))
        refused(match)
    card_path(path).unlink()
    refused("has no card")
    path.unlink()
    refused("no such engine")


def test_a_plan_that_tensorrt_or_we_do_not_know(model, gpu):
    with pytest.raises(EngineError, match="cannot load the engine"):
        EngineRunner(b"nothing", BANDS, gpu)
    plan = build.build_plan(
        build_graph(model, fixed_bands=True).SerializeToString(), BANDS, 4, gpu, Path("/nowhere/timing")
    )
    with pytest.raises(EngineError, match="not those of a SpecTf network"):
        EngineRunner(plan, BANDS + 1, gpu)


def test_failures_of_the_library_are_told(model, gpu, tmp_path, monkeypatch):
    with pytest.raises(EngineError, match="does not take our graph: not ONNX"):
        build.build_plan(b"junk", BANDS, 4, gpu, tmp_path / "timing")
    graph = build_graph(model, fixed_bands=True).SerializeToString()
    with monkeypatch.context() as patch:
        patch.setattr(Builder, "build_serialized_network", lambda *_: None)
        with pytest.raises(EngineError, match="could not build an engine on Stand-in GPU"):
            build.build_plan(graph, BANDS, 4, gpu, tmp_path / "timing")
    runner = EngineRunner(build.build_plan(graph, BANDS, 4, gpu, tmp_path / "timing"), BANDS, gpu)
    toa = spectra(11, BANDS)
    with monkeypatch.context() as patch:
        patch.setattr(standin._Context, "execute_async_v3", lambda *_: False)
        with pytest.raises(EngineError, match="could not run 4 pixels"):
            runner(toa)
        assert gpu.stream.done == len(gpu.stream.queue)  # the buffers may go now
    np.testing.assert_allclose(runner(toa), exact(model, toa), atol=2e-6)  # and it can go on
    with monkeypatch.context() as patch:
        patch.setattr(standin._Engine, "create_execution_context", lambda _: None)
        with pytest.raises(EngineError, match="no memory on Stand-in GPU"):
            EngineRunner(build.build_plan(graph, BANDS, 4, gpu, tmp_path / "timing"), BANDS, gpu)


def test_nothing_is_held_after_a_runner_is_gone(model):
    gc.collect()
    before = len(Memory.live)
    backend = open_tensorrt(model, "tensorrt", "exact", 0.5)
    backend(spectra(20, BANDS))
    assert len(Memory.live) == before + 2 * 5  # two slots of three tensors and two host buffers
    del backend
    gc.collect()
    assert len(Memory.live) == before


def test_no_tensorrt_an_old_one_no_gpu(model, monkeypatch):
    monkeypatch.setattr(standin, "__version__", "10.3.0")
    with pytest.raises(MissingExtraError, match=r"TensorRT 10.3.0 is too old; pip install 'tensorrt>=10.12'"):
        library.import_tensorrt()
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'spectf-cloud\[trt\]'"):
        open_tensorrt(model, "tensorrt", "exact", 0.5)
    monkeypatch.undo()
    if not torch.cuda.is_available():
        with pytest.raises(MissingExtraError, match="needs an NVIDIA GPU and number 0 does not exist"):
            device.open_device(0)


def test_what_a_machine_has_is_listed(monkeypatch):
    def listed():
        return next(entry for entry in available.backends() if entry.name == "tensorrt")

    monkeypatch.setattr(available, "levels", tuple)  # no kernel needs to be compiled for this
    monkeypatch.setattr(available, "kernel_missing", lambda device: "not asked here")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert (listed().available, listed().reason) == (False, "PyTorch sees no NVIDIA GPU")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert listed().available
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    assert "pip install" in listed().reason


def test_names_of_devices():
    assert [device_number(name) for name in ("tensorrt", "tensorrt:3", "TensorRT:cuda:1", "2", "auto")] == [
        0,
        3,
        1,
        2,
        0,
    ]
    with pytest.raises(MissingExtraError, match="not on cpu"):
        device_number("tensorrt:cpu")
    with pytest.raises(UsageError):
        device_number("tensorrt:gpu")


def test_batches_shrink_with_bands():
    assert build.largest_batch(8, 4096) == 4
    assert build.largest_batch(8, 10**5) == 1


# --- the command -----------------------------------------------------------------------------------------------


@pytest.fixture
def granule(tmp_path):
    data = arrays(lines=9, samples=7)
    data.radiance[2, 3] = -9999
    return write_emit(tmp_path, data)


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def test_deploy_trt_gives_the_mask_of_deploy_pt_in_float32(granule, tmp_path, capsys):
    radiance, observation = granule
    assert run("deploy-pt", tmp_path / "pt.tif", observation, radiance, "--proba", "--fidelity", "exact") == 0
    assert run("deploy-trt", tmp_path / "trt.tif", observation, radiance, "--proba") == 0
    assert "building a TensorRT engine in fp16" in capsys.readouterr().err
    with raster(tmp_path / "pt.tif") as wanted, raster(tmp_path / "trt.tif") as made:
        np.testing.assert_array_equal(made.read(1), wanted.read(1))
        assert (made.read(1) == 255).sum() == 1
        assert made.tags()["SPECTF_BACKEND"] == "tensorrt-fp16"
        assert made.tags()["SPECTF_FIDELITY"] == "faithful"
    with raster(tmp_path / "pt_prob.tif") as wanted, raster(tmp_path / "trt_prob.tif") as made:
        assert np.abs(made.read(1) - wanted.read(1)).max() < 0.02
    assert run("deploy-trt", tmp_path / "again.tif", radiance, "--json") == 0
    assert Builder.built == 1
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["tags"]["SPECTF_BACKEND"] == "tensorrt-fp16"


def test_deploy_trt_refuses_in_one_line_with_code_4(granule, tmp_path, capsys, monkeypatch):
    out, (radiance, _) = tmp_path / "m.tif", granule

    def refused(*options: object) -> str:
        capsys.readouterr()
        assert run("deploy-trt", out, radiance, *options) == 4
        said = capsys.readouterr().err
        assert said.startswith("error: ") and said.count("\n") == 1
        assert not out.exists()
        return said

    engine = tmp_path / "raw.engine"
    assert "no such engine" in refused("--engine", engine)
    engine.write_bytes(b"of trtexec")
    assert "has no card" in refused("--engine", engine)
    assert "not on -1" in refused("--device", "-1")
    monkeypatch.setenv("SPECTF_DEPLOY_ENGINE", str(engine))
    assert "has no card" in refused()
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    assert "TensorRT is not installed" in refused()


# --- the stand-in itself: it must notice what would go wrong on a GPU ---------------------------------------------


def test_the_stand_in_does_nothing_before_it_is_waited_for(gpu):
    host, on_device, back = gpu.host_memory((3,)), gpu.memory((3,)), gpu.host_memory((3,))
    host[:] = 1.0
    gpu.copy(on_device, host)
    gpu.copy(back, on_device)
    host[:] = 2.0  # too early
    assert back.isnan().all()
    gpu.mark().synchronize()
    assert (back == 2.0).all()


def test_the_stand_in_notices_memory_freed_too_early(gpu):
    host, on_device = gpu.host_memory((3,)), gpu.memory((3,))
    gpu.copy(on_device, host)
    del on_device
    with pytest.raises(AssertionError, match="freed"):
        gpu.mark().synchronize()


# --- the real thing ----------------------------------------------------------------------------------------------


def _no_real_tensorrt() -> str | None:
    if not torch.cuda.is_available():
        return "no NVIDIA GPU here"
    try:
        library.import_tensorrt()
    except MissingExtraError as error:
        return str(error)
    return None


def test_real_tensorrt(reference, tmp_path, monkeypatch):
    monkeypatch.undo()  # nothing stands in for anything
    reason = _no_real_tensorrt()
    if reason:
        pytest.skip(reason)
    monkeypatch.setenv("SPECTF_CACHE_DIR", str(tmp_path / "cache"))
    golden = np.load(reference / "golden/emit_spectra.npz")
    toa, logits = golden["toa_reflectance"], golden["logits_v0.1.0"].astype(np.float64)
    probability = 1 / (1 + np.exp(logits[:, 0] - logits[:, 1]))
    model = load_model(find_weights(reference / "official/v0.1.0/weights.pt"), golden["wavelength"])
    for fidelity, largest in (("exact", 1e-4), ("faithful", 0.02)):
        made = open_tensorrt(model, "tensorrt", fidelity, 0.51)(toa)
        assert np.abs(made - probability).max() < largest
        assert ((made > 0.51) == (probability > 0.51)).all()
