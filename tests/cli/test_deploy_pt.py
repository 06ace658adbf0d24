"""The commands as a user calls them, through `main`, with files reopened."""

import json
import os
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest
import xarray
from rio_cogeo.cogeo import cog_validate

from spectf_cloud.__main__ import main
from spectf_cloud.files.resources import resource

from scene_files import Arrays, arrays, raster, write_emit, write_envi_scene


@pytest.fixture
def granule(tmp_path):
    glt = np.meshgrid(np.arange(1, 6), np.arange(1, 8))
    return write_emit(tmp_path, arrays(), glt=tuple(glt))


def run(*arguments):
    return main([str(argument) for argument in arguments])


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_every_product_of_one_call(granule, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    products = {
        name: out / f"x.{suffix}" for name, suffix in (("ortho", "cog.tif"), ("netcdf", "nc"), ("quicklook", "png"))
    }
    options = [item for name, path in products.items() for item in (f"--{name}", path)]
    assert run("deploy-pt", out / "m.tif", granule[1], granule[0], "--proba", *options) == 0
    assert files(out) == ["m.tif", "m_prob.tif", "x.cog.tif", "x.nc", "x.png"]
    with raster(out / "m.tif") as mask, raster(out / "m_prob.tif") as probability:
        assert (mask.dtypes, mask.nodata, probability.dtypes, probability.nodata) == (
            ("uint8",),
            255,
            ("float32",),
            -9999,
        )
        threshold = float(mask.tags()["SPECTF_THRESHOLD"])
        np.testing.assert_array_equal(mask.read(1), probability.read(1) > threshold)
    assert cog_validate(products["ortho"])[0]
    with xarray.open_dataset(products["netcdf"], engine="h5netcdf") as dataset:
        assert dataset["mask"].shape == (7, 5, 3)
    assert "cloud above" in capsys.readouterr().out


@pytest.mark.parametrize("form", ["positional", "named", "two", "environment", "config"])
def test_every_way_to_say_it(granule, tmp_path, monkeypatch, form):
    rad, obs = granule
    out = tmp_path / "m.tif"
    if form == "positional":
        code = run("deploy-pt", out, obs, rad)
    elif form == "named":
        code = run("deploy-pt", "--rdn", rad, "--obs", obs, "--out", out)
    elif form == "two":
        code = run("deploy-pt", out, rad)
    elif form == "environment":
        for name, value in (("OUTFP", out), ("OBSFP", obs), ("RDNFP", rad)):
            monkeypatch.setenv(f"SPECTF_DEPLOY_{name}", str(value))
        code = run("deploy-pt")
    else:
        (tmp_path / "c.yml").write_text(f"deploy-pt:\n  out: {out}\n  rdn: {rad}\n  keep-bands: true\n")
        code = run("deploy-pt", "--config", tmp_path / "c.yml")
    assert code == 0
    with raster(out) as mask:
        assert mask.shape == (7, 5)


def threshold_of(path):
    with raster(path) as mask:
        return float(mask.tags()["SPECTF_THRESHOLD"])


def test_typed_beats_environment_beats_file_beats_default(granule, tmp_path, monkeypatch):
    config = tmp_path / "c.yml"
    config.write_text("threshold: 0.1\n")
    base = ("deploy-pt", tmp_path / "m.tif", granule[0], "--overwrite")
    assert run(*base) == 0
    default = threshold_of(tmp_path / "m.tif")
    assert run(*base, "--config", config) == 0
    assert threshold_of(tmp_path / "m.tif") == 0.1 != default
    monkeypatch.setenv("SPECTF_DEPLOY_THRESHOLD", "0.2")
    assert run(*base, "--config", config) == 0
    assert threshold_of(tmp_path / "m.tif") == 0.2
    assert run(*base, "--config", config, "--threshold", "0.3") == 0
    assert threshold_of(tmp_path / "m.tif") == 0.3


def test_the_published_call_on_envi(tmp_path):
    radiance, observation = write_envi_scene(tmp_path, arrays())
    assert run("deploy-pt", tmp_path / "OUT.tif", f"{observation}.hdr", f"{radiance}.hdr", "--proba") == 0
    with raster(tmp_path / "OUT_prob.tif") as probability:
        assert probability.profile["compress"] == "lzw"
        assert probability.block_shapes == [(256, 256)]


def test_json_events(granule, tmp_path, capsys):
    assert run("deploy-pt", tmp_path / "m.tif", granule[0], "--json") == 0
    done = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (done["event"], done["lines"], done["samples"], done["valid_pixels"]) == ("done", 7, 5, 35)
    assert done["outputs"] == {"mask": str(tmp_path / "m.tif")}
    assert run("deploy-pt", tmp_path / "m.tif", granule[0], "--json") == 1
    error = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (error["event"], error["exit_code"]) == ("error", 1)


def truncate(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def edit_wavelengths(path, values, units="nm"):
    with h5py.File(path, "r+") as file:
        group = file["sensor_band_parameters"]
        del group["wavelengths"]
        group["wavelengths"] = values
        group["wavelengths"].attrs["units"] = units


FAILURES = {
    "missing OBS": (lambda rad, obs: obs.unlink(), 3, "no matching OBS file"),
    "truncated": (lambda rad, obs: truncate(rad), 3, "download it again"),
    "text": (lambda rad, obs: rad.write_text("text"), 3, "is a text, not a scene"),
    "shapes": (lambda rad, obs: write_emit(rad.parent, Arrays(arrays().radiance, arrays(lines=6).obs)), 3, "6 x 5"),
    "wavelengths": (lambda rad, obs: edit_wavelengths(rad, np.arange(9.0)), 3, "9 wavelengths for 12 bands"),
    "units": (lambda rad, obs: edit_wavelengths(rad, np.arange(1.0, 13.0), "inch"), 3, "units 'inch'"),
    "absent": (lambda rad, obs: rad.unlink(), 3, "does not exist"),
    "folder": (lambda rad, obs: (rad.unlink(), rad.mkdir()), 3, "is a folder"),
}


@pytest.mark.parametrize("case", FAILURES)
def test_a_bad_input_costs_one_line(granule, tmp_path, capsys, case):
    spoil, code, message = FAILURES[case]
    spoil(*granule)
    before = files(tmp_path)
    assert run("deploy-pt", tmp_path / "m.tif", granule[0], "--proba") == code
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    assert files(tmp_path) == before


def test_outputs_that_cannot_be_written_cost_one_line(granule, tmp_path, capsys):
    rad, obs = granule
    existing = tmp_path / "there.tif"
    existing.write_text("precious")
    for out, options, code, message in (
        (existing, (), 1, "--overwrite"),
        (tmp_path / "absent" / "m.tif", (), 1, "does not exist"),
        (tmp_path, (), 1, "is a folder"),
        (rad, ("--overwrite",), 2, "holds radiance"),
        (obs, ("--overwrite",), 2, "holds observation"),
        (tmp_path / "m.tif", ("--netcdf", rad, "--overwrite"), 2, "holds radiance"),
        (tmp_path / "m.tif", ("--quicklook", tmp_path / "m.tif"), 2, "same name"),
    ):
        assert run("deploy-pt", out, obs, rad, *options) == code
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
    assert existing.read_text() == "precious"
    assert not (tmp_path / "m.tif").exists()


def test_the_header_of_an_envi_input_is_safe_too(tmp_path, capsys):
    radiance, _ = write_envi_scene(tmp_path, arrays())
    header = radiance.with_name(radiance.name + ".hdr")
    content = header.read_bytes()
    assert run("deploy-pt", tmp_path / "m.tif", radiance, "--quicklook", header, "--overwrite") == 2
    assert "holds radiance" in capsys.readouterr().err
    assert header.read_bytes() == content


@pytest.mark.parametrize("option", ["--weights", "--irradiance", "--arch-spec", "--config"])
def test_settings_are_never_written_over(granule, tmp_path, capsys, option):
    source = {
        "--weights": resource("weights.pt"),
        "--irradiance": resource("irr.npy"),
        "--arch-spec": resource("spectf_cloud_config.yml"),
    }
    setting = tmp_path / "setting"
    setting.write_bytes(source[option].read_bytes() if option in source else b"proba: true\n")
    content = setting.read_bytes()
    assert run("deploy-pt", tmp_path / "m.tif", granule[0], option, setting, "--netcdf", setting, "--overwrite") == 1
    assert "is an input" in capsys.readouterr().err
    assert setting.read_bytes() == content


def test_another_granule_is_not_written_over(granule, tmp_path):
    (tmp_path / "other").mkdir()
    other, _ = write_emit(tmp_path / "other", arrays(seed=1))
    content = other.read_bytes()
    assert run("deploy-pt", tmp_path / "m.tif", granule[0], "--netcdf", other, "--overwrite") == 2
    assert other.read_bytes() == content


def test_geometry_that_no_product_can_use_is_found_before_inference(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("spectf_cloud.mapping.deploy.mask_by", lambda *arguments, **options: pytest.fail("masked"))
    rad, _ = write_emit(tmp_path, arrays(), glt=tuple(np.meshgrid(np.arange(1, 6), np.arange(1, 8))))
    with h5py.File(rad, "r+") as file:
        file.attrs["spatial_ref"] = "nonsense"
    assert run("deploy-pt", tmp_path / "m.tif", rad, "--ortho", tmp_path / "o.tif") == 3
    assert "coordinate reference system" in capsys.readouterr().err


def test_what_is_typed_beats_the_file_for_paths_too(granule, tmp_path, monkeypatch):
    precious = tmp_path / "precious.tif"
    precious.write_text("precious")
    (tmp_path / "c.yml").write_text(f"out: {precious}\noverwrite: true\n")
    assert run("deploy-pt", tmp_path / "mine.tif", granule[0], "--config", tmp_path / "c.yml") == 0
    monkeypatch.setenv("SPECTF_DEPLOY_OUTFP", str(tmp_path / "env.tif"))
    assert run("deploy-pt", "--rdn", granule[0], "--config", tmp_path / "c.yml") == 0
    assert precious.read_text() == "precious"
    assert {"mine.tif", "env.tif"} <= set(files(tmp_path))


def test_usage_errors_are_events_too(capsys):
    assert run("deploy-pt", "--threshold", "7", "--json") == 2
    captured = capsys.readouterr()
    assert json.loads(captured.out)["exit_code"] == 2
    assert captured.err.count("\n") == 1


def test_verbose_says_what_is_used(granule, tmp_path, capsys, monkeypatch):
    for name in ("SPECTF_SIMD", "SPECTF_RUNTIME"):
        monkeypatch.setenv(name, "none")
    assert run("deploy-pt", tmp_path / "m.tif", granule[0], "-v") == 0
    assert "torch-float32" in capsys.readouterr().err


@pytest.mark.parametrize("closing", [">&-", "2>&-"])
def test_closed_streams_do_no_harm(granule, tmp_path, closing):
    command = f"{sys.executable} -m spectf_cloud deploy-pt {tmp_path}/m.tif {granule[0]} {closing}"
    assert subprocess.run(["bash", "-c", command], check=False).returncode == 0
    assert (tmp_path / "m.tif").exists()


def test_swapped_inputs_are_named_and_untouched(granule, tmp_path, capsys):
    rad, obs = granule
    content = rad.read_bytes()
    assert run("deploy-pt", tmp_path / "m.tif", rad, obs) == 3
    assert "swapped" in capsys.readouterr().err
    assert rad.read_bytes() == content


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--threshold", "2"), 2),
        (("--threshold", "high"), 2),
        (("--nonsense",), 2),
        (("--device", "toaster"), 2),
        (("--device", "42"), 4),
        (("--weights", "absent.pt"), 3),
        (("--irradiance", "absent.npy"), 3),
        (("--arch-spec", "absent.yml"), 2),
        (("--config", "absent.yml"), 2),
        (("--memory-limit", "lots"), 2),
        (("--memory-limit", "1MB"), 2),
    ],
)
def test_options_that_cannot_be_meant(granule, tmp_path, capsys, options, code):
    assert run("deploy-pt", tmp_path / "m.tif", granule[0], *options) == code
    assert "Traceback" not in capsys.readouterr().err
    assert not (tmp_path / "m.tif").exists()


def test_too_few_arguments(capsys):
    assert run("deploy-pt") == 2
    assert "OUTFP [OBSFP] RDNFP" in capsys.readouterr().err


def test_ortho_without_a_table_is_refused_before_any_work(tmp_path, capsys):
    rad, _ = write_emit(tmp_path, arrays())
    assert run("deploy-pt", tmp_path / "m.tif", rad, "--ortho", tmp_path / "o.tif") == 3
    assert "no GLT" in capsys.readouterr().err
    assert not (tmp_path / "m.tif").exists()


def test_a_scene_of_nan_is_all_no_data_and_a_warning(tmp_path, capsys):
    data = arrays()
    data.radiance[...] = np.nan
    rad, _ = write_emit(tmp_path, data)
    assert run("deploy-pt", tmp_path / "m.tif", rad) == 0
    captured = capsys.readouterr()
    assert "no pixel has data" in captured.err
    assert "no data" in captured.out
    with raster(tmp_path / "m.tif") as mask:
        assert (mask.read(1) == 255).all()


@pytest.fixture(scope="module")
def long_granule(tmp_path_factory):
    """More than a second's work."""
    return write_emit(tmp_path_factory.mktemp("long"), arrays(lines=1500, samples=300))


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_nothing(long_granule, tmp_path, stop):
    rad, _ = long_granule
    before = files(rad.parent)
    command = [sys.executable, "-m", "spectf_cloud", "deploy-pt", str(tmp_path / "m.tif"), str(rad), "--json"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}

    def heed_interrupts():
        # A runner in the background ignores SIGINT, and children inherit that.
        signal.signal(signal.SIGINT, signal.default_int_handler)

    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdout=pipe, stderr=pipe, text=True, env=environment, preexec_fn=heed_interrupts
    ) as child:
        assert json.loads(child.stdout.readline())["event"] == "progress"
        child.send_signal(stop)
        _, errors = child.communicate(timeout=60)
    assert child.returncode == 130
    assert "Traceback" not in errors
    assert (files(rad.parent), files(tmp_path)) == (before, [])


def test_an_unforeseen_error_is_one_line_too(granule, tmp_path, capsys, monkeypatch):
    def explode(*arguments, **options):
        raise ZeroDivisionError("unlucky")

    monkeypatch.setattr("spectf_cloud.mapping.deploy.mask_by", explode)
    assert run("deploy-pt", tmp_path / "m.tif", granule[0]) == 1
    assert capsys.readouterr().err.startswith("error: ZeroDivisionError: unlucky")


def test_progress_is_plain_lines_where_there_is_no_terminal(capsys, monkeypatch):
    from spectf_cloud.cli import reporting

    clock = iter(np.arange(0.0, 200.0, 6.0))
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    with reporting.Reporter().progress("masking", "pixels") as update:
        for done in (10, 20, 30, 40):
            update(done, 40)
    assert capsys.readouterr().err.splitlines() == [
        "masking: 50%, 2 pixels/s, 0:12 left",
        "masking: 100%, 2 pixels/s, 0:00 left",
    ]


def test_version_and_weights(capsys, official):
    assert run("--version") == 0
    assert run("weights", "list") == 0
    assert run("weights", "verify", "official:v0.1.0") == 0
    assert run("weights", "info") == 0
    assert run("weights", "fetch", "official:v0.0.1", "--json") == 0
    out = capsys.readouterr().out
    assert "25,538 parameters" in out
    assert json.loads(out.splitlines()[-1])["threshold"] == 0.52
    assert run("weights", "verify", "absent.pt") == 3
