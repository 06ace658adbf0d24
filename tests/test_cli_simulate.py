"""`simulate` and `dataset simulate` as a user calls them."""

import json

import h5py
import pytest
from typer.testing import CliRunner

from spectf_cloud.__main__ import main
from spectf_cloud.cli import dataset
from spectf_cloud.dataset import open_scene
from spectf_cloud.errors import OutputError
from spectf_cloud.simulation.presets import PRESETS


def run(*arguments):
    return main([str(argument) for argument in arguments])


SMALL = ("--lines", 16, "--samples", 12)


def test_simulate_writes_a_granule_and_says_what(tmp_path, capsys):
    assert run("simulate", tmp_path / "g", *SMALL, "--seed", 3, "--preset", "scattered") == 0
    out = capsys.readouterr().out
    radiance = next((tmp_path / "g").glob("EMIT_L1B_RAD_001_*.nc"))
    assert str(radiance) in out and "scattered" in out and "cloud" in out
    # OBS is found beside it by its name.
    assert open_scene(radiance).lines == 16


def test_json_events_name_the_files(tmp_path, capsys):
    start = ("--start", "2024-07-01T10:30:00Z")
    assert run("simulate", tmp_path, *SMALL, "--json", "--format", "envi", *start) == 0
    done = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert done["event"] == "done" and 0 <= done["cloud_fraction"] <= 1
    assert set(done["outputs"]) >= {"truth", "envi_radiance", "envi_observation", "envi_location"}
    assert "emit20240701t103000" in done["outputs"]["envi_radiance"]


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--start", "noon"), 2, "is not a time"),
        (("--start", "2024-07-01T10:30:00"), 2, "needs a zone"),
        (("--like", "missing.nc"), 3, "missing.nc"),
        (("--surfaces", "missing.csv"), 3, "missing.csv"),
        (("--irradiance", "missing.npy"), 3, "missing.npy"),
        (("--preset", "fog"), 2, "fog"),
    ],
)
def test_wrong_options_are_one_clear_line(tmp_path, capsys, options, code, message):
    assert run("simulate", tmp_path / "g", *SMALL, *options) == code
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error
    assert not list(tmp_path.glob("g/*"))


def test_every_preset_is_offered():
    from spectf_cloud.cli.simulate import PresetChoice

    assert [choice.value for choice in PresetChoice] == list(PRESETS)


def test_dataset_simulate(tmp_path):
    out = tmp_path / "x.hdf5"
    options = [
        "--scenes",
        "2",
        "--spectra-per-scene",
        "20",
        "--lines",
        "24",
        "--samples",
        "24",
        "--preset",
        "broken",
        "--json",
    ]
    result = CliRunner().invoke(dataset.app, ["simulate", str(out), *options])
    done = json.loads(result.stdout.splitlines()[-1])
    with h5py.File(out) as file:
        assert len(file["labels"]) == done["spectra"] == 40
    again = CliRunner().invoke(dataset.app, ["simulate", str(out), *options])
    assert isinstance(again.exception, OutputError) and "--overwrite" in str(again.exception)
