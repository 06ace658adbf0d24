"""``spectf-cloud export``: files reopened by the programs they are for."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import standin_tensorrt as standin
import torch
import yaml
from standin_tensorrt import Builder, StandinDevice

from spectf_cloud.__main__ import main
from spectf_cloud.dataset import open_scene
from spectf_cloud.files.resources import resource
from spectf_cloud.inference.engines.onnx import file as onnx_file
from spectf_cloud.inference.engines.source import check_export
from spectf_cloud.inference.engines.tensorrt import device
from spectf_cloud.inference.predict import predict
from spectf_cloud.model import ModelConfig
from spectf_cloud.models.load import load_model
from spectf_cloud.readers.irradiance import read_irradiance
from spectf_cloud.tokens import Tokens
from spectf_cloud.weights import find_weights

from scene_files import WAVELENGTH_NM, arrays, raster, write_emit


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


@pytest.fixture
def granule(tmp_path: Path) -> tuple[Path, Path]:
    return write_emit(tmp_path, arrays())


@pytest.fixture
def other_network(tmp_path: Path) -> tuple[Path, Path]:
    """Weights of a flat, residual network on the granule's bands, and their --arch-spec."""
    torch.manual_seed(0)
    shape = {"dim_proj": 16, "num_heads": 2, "dim_ff": 24, "agg": "flat", "use_residual": True, "num_layers": 2}
    torch.save(ModelConfig(**shape).build(WAVELENGTH_NM).state_dict(), tmp_path / "other.pt")
    (tmp_path / "spec.yml").write_text(yaml.safe_dump({"architecture": shape, "spectra": {"drop_band_ranges": []}}))
    return tmp_path / "other.pt", tmp_path / "spec.yml"


def answer(path: Path, **feed: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (probability,) = session.run(["cloud_probability"], feed)
    made: np.ndarray = probability
    return made


def test_an_onnx_file_says_what_it_is_and_answers_like_predict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "m.onnx"
    assert run("export", "onnx", out, "--json") == 0
    done = json.loads(capsys.readouterr().out.splitlines()[-1])
    builtin = find_weights("builtin")
    metadata = {entry.key: entry.value for entry in onnx.load(out).metadata_props}
    assert metadata == done["metadata"]
    assert metadata["weights_sha256"] == builtin.sha256
    assert (float(metadata["threshold"]), metadata["opset"]) == (builtin.threshold, "18")
    assert ModelConfig(**json.loads(metadata["architecture"])) == ModelConfig()
    assert json.loads(metadata["dropped_nm"])[0] == [0.0, 405.0]
    assert 0 < done["largest_logit_error"] < 1e-4
    toa = np.random.default_rng(0).uniform(0, 1, (5, 30)).astype(np.float32)
    wavelength_nm = np.linspace(410, 2440, 30, dtype=np.float32)
    made = answer(out, toa_reflectance=toa, wavelength_nm=wavelength_nm)
    np.testing.assert_allclose(made, predict(toa, wavelength_nm, fidelity="exact"), atol=2e-5)


def test_a_file_for_the_bands_of_one_scene(
    granule: tuple[Path, Path], other_network: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights, spec = other_network
    options = ("export", "onnx", tmp_path / "m.onnx", "--weights", weights, "--arch-spec", spec)
    assert run(*options) == 2
    assert "give a scene with these bands by --rdn" in capsys.readouterr().err
    assert run(*options, "--rdn", granule[0]) == 0
    made = onnx.load(tmp_path / "m.onnx")
    told = {entry.key: entry.value for entry in made.metadata_props}
    np.testing.assert_allclose(json.loads(told["wavelength_nm"]), WAVELENGTH_NM, atol=1e-4)
    model = load_model(find_weights(weights), WAVELENGTH_NM, ModelConfig(**json.loads(told["architecture"])))
    toa = np.random.default_rng(0).uniform(0, 1, (5, 12)).astype(np.float32)
    expected = predict(toa, WAVELENGTH_NM, weights=model, fidelity="exact")
    np.testing.assert_allclose(answer(tmp_path / "m.onnx", toa_reflectance=toa), expected, atol=2e-5)


def test_bands_of_overlapping_spectrometers_are_exported_as_they_are_masked(tmp_path: Path) -> None:
    """An engine made for them is asked for in the order of wavelength."""
    mixed = np.random.default_rng(0).permutation(len(WAVELENGTH_NM))
    pair = write_emit(tmp_path, arrays(), wavelength=WAVELENGTH_NM[mixed])
    source = check_export(tmp_path / "x.engine", "TensorRT engine", "builtin", radiance=pair[0])
    scene = open_scene(*pair)
    tokens = Tokens.of_scene(scene, read_irradiance(resource("irr.npy")))
    np.testing.assert_array_equal(source.wavelength_nm, scene.sensor.wavelength_nm[tokens.kept])
    assert (np.diff(source.wavelength_nm) > 0).all()


def test_shorter_precisions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("export", "onnx", tmp_path / "h.onnx", "--precision", "fp16", "--json") == 0
    assert 1e-4 < json.loads(capsys.readouterr().out.splitlines()[-1])["largest_logit_error"] < 0.1
    assert run("export", "onnx", tmp_path / "b.onnx", "--precision", "bf16") == 0
    assert "bf16, opset 18, not compared" in capsys.readouterr().out


def test_refusals(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "m.onnx"
    out.write_text("mine")
    assert run("export", "onnx", out) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert run("export", "onnx", tmp_path / "x.onnx", "--rdn", out) == 3
    monkeypatch.setattr(onnx_file, "_error", lambda *_: 0.5)
    assert run("export", "onnx", out, "--overwrite") == 1
    assert "nothing is written" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert run("export", "onnx", out, "--overwrite") == 4
    assert "pip install 'spectf-cloud[onnx]'" in capsys.readouterr().err
    assert out.read_text() == "mine"


def test_an_exported_engine_is_the_one_deploy_trt_takes(
    granule: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", standin)
    gpu = StandinDevice()
    monkeypatch.setattr(device, "open_device", lambda number: gpu)
    monkeypatch.setenv("SPECTF_CACHE_DIR", str(tmp_path / "cache"))
    engine = tmp_path / "mine.engine"
    assert run("export", "engine", engine, granule[0], "--precision", "fp32", "-q") == 0
    card = yaml.safe_load((tmp_path / "mine.engine.yml").read_text())
    assert (card["gpu"], card["tensorrt"], card["precision"]) == ("Stand-in GPU", standin.__version__, "fp32")
    before = Builder.built
    assert run("deploy-trt", tmp_path / "m.tif", granule[0], "--engine", engine) == 0
    assert Builder.built == before
    with raster(tmp_path / "m.tif") as mask:
        assert mask.tags()["SPECTF_BACKEND"] == "tensorrt-fp32"
    capsys.readouterr()
    assert run("deploy-trt", tmp_path / "n.tif", granule[0], "--engine", engine, "--keep-bands") == 4
    said = capsys.readouterr().err
    assert "mine.engine was built for other" in said and "number of bands" in said
    assert run("deploy-trt", engine, granule[0], "--engine", engine, "--overwrite") == 1
    assert "is an input of this run" in capsys.readouterr().err
