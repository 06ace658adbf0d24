"""Refusals come before PyTorch is imported: seen in an interpreter where importing it fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import spectf_cloud

from scene_files import arrays, write_emit

ROOT = Path(spectf_cloud.__file__).parents[1]
POISON = 'raise RuntimeError("torch was imported")'
SCRIPT = """
import contextlib, io, json, sys
from spectf_cloud.__main__ import main

told = []
for arguments in json.load(sys.stdin):
    error = io.StringIO()
    with contextlib.redirect_stderr(error), contextlib.redirect_stdout(io.StringIO()):
        code = main(arguments)
    told.append([code, error.getvalue()])
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("light")
    write_emit(folder, arrays())
    (folder / "there.tif").write_text("precious")
    (folder / "text.txt").write_text("no weights, no data")
    (folder / "a.csv").write_text("fid\n")
    return folder


RAD = "EMIT_L1B_RAD_001_20240203T040506_2403404_007.nc"
# (command, exit code, words)
REFUSALS = [
    ("deploy-pt", 2, "name the mask to write"),
    ("deploy-pt out.tif missing.nc", 3, "missing.nc"),
    (f"deploy-pt out.tif {RAD} --threshold 3", 2, "--threshold"),
    (f"deploy-pt there.tif {RAD}", 1, "--overwrite"),
    (f"deploy-pt out.nc {RAD}", 2, "use a name that ends in .tif"),
    (f"deploy-pt {RAD} {RAD}", 2, "holds radiance"),
    (f"deploy-pt out.tif {RAD} --trust-input --weights nosuch", 3, "no such weights"),
    (f"deploy-pt out.tif {RAD} --trust-input --device banana", 2, "banana"),
    (f"deploy-pt out.tif {RAD} --memory-limit lots", 2, "lots"),
    (f"deploy-pt out.tif {RAD} --trust-input --irradiance no.npy", 3, "no.npy"),
    (f"deploy-pt out.tif {RAD} --trust-input --arch-spec no.yml", 2, "no.yml"),
    ("deploy-trt out.tif missing.nc", 3, "missing.nc"),
    ("deploy-many missing --out many", 3, "missing"),
    ("deploy-many . --out many --weights nosuch", 3, "no such weights"),
    ("threshold missing.tif out.tif", 3, "missing.tif"),
    ("weights info nosuch", 3, "no such weights"),
    ("weights verify nosuch", 3, "no such weights"),
    ("explain missing.nc --pixel 1,1 --out why.png", 3, "missing.nc"),
    (f"explain {RAD} --pixel 99,1 --out why.png", 2, "outside the scene"),
    (f"explain {RAD} --pixel 1,1 --out why.tif", 2, "use a name that ends in .png"),
    ("export onnx there.tif", 2, "use a name that ends in .onnx"),
    ("export onnx a.onnx --rdn missing.nc", 3, "missing.nc"),
    ("export engine a.engine missing.nc", 3, "missing.nc"),
    ("train missing.h5 --train-csv a.csv --test-csv a.csv", 3, "missing.h5"),
    ("train text.txt --train-csv a.csv --test-csv a.csv", 3, "not an HDF5 file"),
    (f"train {RAD} --train-csv a.csv --test-csv a.csv --irradiance no.npy", 3, "no.npy"),
    (f"train {RAD} --train-csv a.csv --test-csv a.csv --arch-heads 7", 2, "7"),
    (f"train {RAD} --train-csv a.csv --test-csv a.csv --resume --overwrite", 2, "--resume"),
    (f"train-comparison resnet {RAD} --train-csv a.csv --test-csv a.csv --irradiance no.npy", 3, "no.npy"),
    ("train-comparison resnet missing.h5 --train-csv a.csv --test-csv a.csv", 3, "missing.h5"),
    ("train-comparison xgboost text.txt --train-csv b.csv --test-csv a.csv", 3, "b.csv"),
    ("cloud-eval spectf missing.h5", 3, "missing.h5"),
    ("dataset info missing.h5", 3, "missing.h5"),
    ("simulate there --lines 8 --start noon", 2, "noon"),
    ("archive status missing", 3, "no ledger"),
    ("tui missing", 3, "missing"),
]


@pytest.fixture(scope="module")
def told(folder):
    poison = folder / "poison"
    poison.mkdir()
    (poison / "torch.py").write_text(POISON)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(poison), str(ROOT)))}
    arguments = json.dumps([command.split() for command, _, _ in REFUSALS])
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT], input=arguments, capture_output=True, text=True, cwd=folder, env=environment
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@pytest.mark.parametrize("number", range(len(REFUSALS)), ids=[command for command, _, _ in REFUSALS])
def test_refused_without_torch(told, number):
    (_, code, words), (found, error) = REFUSALS[number], told[number]
    assert "torch was imported" not in error
    assert (found, words in error, error.count("\n")) == (code, True, 1), error


def test_nothing_was_written(told, folder):
    assert (folder / "there.tif").read_text() == "precious"
    left = {path.name for path in folder.iterdir()} - {"poison", "there.tif", "text.txt", "a.csv", "many"}
    assert all(name.startswith("EMIT") for name in left), left
