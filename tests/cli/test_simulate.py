"""`simulate` and `dataset simulate` as a user calls them."""

import io
import json
from contextlib import redirect_stdout

import h5py
import pytest
from typer.testing import CliRunner

from spectf_cloud.__main__ import main
from spectf_cloud.cli import dataset
from spectf_cloud.dataset import open_scene
from spectf_cloud.errors import OutputError
from spectf_cloud.simulation.presets import PRESETS

from scene_files import raster


def run(*arguments):
    return main([str(argument) for argument in arguments])


SMALL = ("--lines", 16, "--samples", 12)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Folder of a granule, and what the command said."""
    folder, said = tmp_path_factory.mktemp("made") / "g", io.StringIO()
    with redirect_stdout(said):
        assert run("simulate", folder, *SMALL, "--seed", 3, "--preset", "scattered") == 0
    return folder, said.getvalue()


@pytest.fixture(scope="module")
def like(made):
    return next(made[0].glob("EMIT_L1B_OBS_*.nc"))


def test_simulate_writes_a_granule_and_says_what(made):
    folder, said = made
    radiance = next(folder.glob("EMIT_L1B_RAD_001_*.nc"))
    assert str(radiance) in said and "scattered" in said and "cloud" in said
    # OBS is found beside it by its name.
    assert open_scene(radiance).lines == 16
    with raster(folder / "truth.tif") as truth:
        assert truth.tags()["simulated"].startswith("SIMULATED") and "lines=16" in truth.tags()["simulation"]


def test_json_events_name_the_files(tmp_path, capsys):
    start = ("--start", "2024-07-01T10:30:00Z")
    assert run("simulate", tmp_path, *SMALL, "--json", "--format", "envi", *start) == 0
    done = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert done["event"] == "done" and 0 <= done["cloud_fraction"] <= 1
    assert set(done["outputs"]) >= {"truth", "envi_radiance", "envi_observation", "envi_location"}
    assert "emit20240701t103000" in done["outputs"]["envi_radiance"]


def test_a_map_of_another_sensor_says_what_is_in_it(tmp_path, capsys):
    options = ("--format", "tif", "--pixel-size", 30, "--dtype", "uint16", "--preset", "scattered")
    assert run("simulate", tmp_path, *SMALL, *options, "--json") == 0
    done = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(done["outputs"]) == {"reflectance", "truth", "truth_layers"} and done["bands_left_out"] == []
    assert sum(done["classes"].values()) == pytest.approx(1)
    with raster(tmp_path / "reflectance.tif") as file:
        assert file.count == 285 and file.res == (30, 30)
    assert run("simulate", tmp_path, *SMALL, *options) == 1  # the files exist
    assert run("simulate", tmp_path, *SMALL, *options, "--overwrite") == 0
    said = capsys.readouterr().out
    assert "land" in said and "left out" in said and "truth.tif" in said


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--sensor", "EMIT"), 2, "add --format tif"),
        (("--format", "tif", "--pixel-size", "0"), 2, "0.5 m or more"),
        (("--format", "tif", "--sensor", "no such sensor"), 2, "no such sensor"),
        (("--format", "tif", "--like", "some.nc"), 2, "--like cannot be used"),
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
        "1",
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
        assert len(file["labels"]) == done["spectra"] == 20
    again = CliRunner().invoke(dataset.app, ["simulate", str(out), *options])
    assert isinstance(again.exception, OutputError) and "--overwrite" in str(again.exception)


def test_like_takes_size_time_and_place_from_the_file_and_says_so(tmp_path, like):
    assert run("simulate", tmp_path, "--like", like, "--seed", 9, "-q") == 0
    with h5py.File(like) as given, h5py.File(next(tmp_path.glob("*OBS*.nc"))) as made:
        assert (made["obs"][()] == given["obs"][()]).all() and (made["location/lon"][()] == given["location/lon"]).all()
        for name in ("time_coverage_start", "time_coverage_end", "spatialResolution"):
            assert made.attrs[name] == given.attrs[name]
        told = dict(part.split("=", 1) for part in made.attrs["simulation"].split(", "))
    assert (told["lines"], told["samples"], told["seed"], told["like"]) == ("16", "12", "9", str(like))


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--lines", 32), "leave out --lines, or"),
        (("--samples", 32), "leave out --samples, or"),
        (SMALL, "leave out --lines and --samples"),  # even where it is the file's own size
        (("--start", "2024-07-01T10:30:00Z"), "leave out --start"),
    ],
)
def test_like_leaves_no_room_for_size_and_time(tmp_path, capsys, like, options, named):
    assert run("simulate", tmp_path / "g", "--like", like, *options) == 2
    assert named in capsys.readouterr().err and not (tmp_path / "g").exists()


def test_like_is_never_written_over(capsys, like):
    content = like.read_bytes()
    assert run("simulate", like.parent, "--like", like, "--overwrite") == 1
    assert "is an input of this run" in capsys.readouterr().err and like.read_bytes() == content


def test_options_that_would_be_ignored_are_refused(tmp_path, capsys):
    assert run("simulate", tmp_path / "g", *SMALL, "--format", "envi", "--compressed") == 2
    assert "not compressed" in capsys.readouterr().err
    assert run("simulate", tmp_path / "g.nc", *SMALL) == 2
    assert "name a folder" in capsys.readouterr().err and not list(tmp_path.iterdir())


@pytest.mark.parametrize("fault", ["radiance", "no bands", "no sun", "location"])
def test_like_another_file_is_refused_by_name(tmp_path, capsys, like, fault):
    path = tmp_path / "given.nc"
    path.write_bytes((next(like.parent.glob("*RAD*.nc")) if fault == "radiance" else like).read_bytes())
    with h5py.File(path, "r+") as file:
        if fault == "no bands":
            obs = file["obs"][..., :5]
            del file["obs"]
            file["obs"] = obs
        elif fault == "no sun":
            file["obs"][..., 4] = 95.0
        elif fault == "location":
            lon = file["location/lon"][:-1]
            del file["location/lon"]
            file["location/lon"] = lon
    assert run("simulate", tmp_path / "g", "--like", path) == 3
    error = capsys.readouterr().err
    assert "given.nc" in error and "unexpected error" not in error and error.count("\n") == 1
