"""Labelled spectra that cannot be right are refused, doubtful ones warned of, and --trust-input goes on."""

from __future__ import annotations

import logging

import h5py
import numpy as np
import pytest
import xarray as xr
from spectra_files import make_rows, write_hdf5, write_split

import spectf_cloud as sc
from spectf_cloud.__main__ import main
from spectf_cloud.data.spectra import open_spectra
from spectf_cloud.errors import InputError
from spectf_cloud.sensor import Sensor

EMIT_NM = Sensor.emit().wavelength_nm[Sensor.emit().kept()]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("SPECTF_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(logging.getLogger("spectf_cloud"), "propagate", True)  # commands turn it off
    caplog.set_level(logging.WARNING, "spectf_cloud")


@pytest.fixture
def rows():
    return make_rows(bands=EMIT_NM)


def written(folder, rows, attributes=None, of_spectra=None, **changes):
    """A file of these rows, some of them changed, with further attributes."""
    made = rows | {name: change(rows[name]) for name, change in changes.items()}
    path = write_hdf5(folder / "spectra.h5", made)
    with h5py.File(path, "r+") as file:
        file.attrs.update(attributes or {})
        file["spectra"].attrs.update(of_spectra or {})
    return path


def put(index, value):
    def change(values):
        values = values.copy()
        values[index] = value
        return values

    return change


IMPLAUSIBLE = {
    "per cent": ({"spectra": lambda v: v * 100}, "multiplied by 10,000"),
    "times 10,000": ({"spectra": lambda v: v * 1e4}, "multiplied by 10,000"),
    "times 10,000 as integers": ({"spectra": lambda v: (v * 1e4).astype(np.int16)}, "scale_factor"),
    "divided by 10,000": ({"spectra": lambda v: v * 1e-4}, "darker than air"),
    "some in per cent": (
        {"spectra": lambda v: np.where(np.arange(len(v))[:, None] % 10 == 0, v * 100, v)},
        "two scales",
    ),
    "undeclared fill in some bands": ({"spectra": put((7, slice(20, 25)), -32768.0)}, "such as -32768"),
    "−50 in some bands": ({"spectra": put((7, slice(20, 25)), -50.0)}, "such as -50; is that fill"),
    "netCDF's default fill": ({"spectra": put((9, 200), 9.96921e36)}, "such as 9.96921e"),
    "standardised": ({"spectra": lambda v: (v - v.mean(0)) / v.std(0)}, "standardised"),
    "of length 1": ({"spectra": lambda v: v / np.linalg.norm(v, axis=1, keepdims=True)}, "normalised"),
    "0 to 1 each": (
        {"spectra": lambda v: (v - v.min(1, keepdims=True)) / np.ptp(v, axis=1, keepdims=True)},
        "normalised",
    ),
    "wavenumbers": ({"bands": lambda b: 1e7 / b}, "reflected sunlight"),
    "Ångström": ({"bands": lambda b: b * 10}, "reflected sunlight"),
    "band numbers": ({"bands": lambda b: np.arange(1.0, len(b) + 1)}, "reflected sunlight"),
    "a repeated centre": ({"bands": put(5, EMIT_NM[4])}, "repeats the band centre"),
    "much fill": ({"spectra": put(slice(0, 30), -9999.0)}, "30 of 240 spectra hold no measurement"),
    "many constant": ({"spectra": put(slice(0, 30), 0.3)}, "30 of 240 spectra hold no measurement"),
    "fill in one band": ({"spectra": put((7, 20), -9999.0)}, "spectrum 7 holds NaN, infinite or fill"),
    "labels 255": ({"labels": put(slice(3, 5), 255)}, r"label 255 of spectrum 3 .*\(2 such"),
    "a label between": ({"labels": lambda v: np.where(np.arange(len(v)) == 9, 0.5, v)}, "label 0.5 of spectrum 9"),
    "a label NaN": ({"labels": lambda v: np.where(np.arange(len(v)) == 9, np.nan, v)}, "label nan of spectrum 9"),
}


@pytest.mark.parametrize("case", IMPLAUSIBLE)
def test_what_cannot_be_right_is_refused_and_taken_on_trust(tmp_path, rows, caplog, case):
    changes, words = IMPLAUSIBLE[case]
    path = written(tmp_path, rows, **changes)
    with pytest.raises(InputError, match=words) as error:
        open_spectra(path)
    assert str(path) in str(error.value) and "--trust-input" in str(error.value)
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]  # nothing of it is kept
    spectra = open_spectra(path, trust=True)
    assert "WARNING" in caplog.text
    assert np.isfinite(spectra.take(np.arange(len(spectra)))).all() and set(spectra.labels) == {0, 1, 2}
    with pytest.raises(InputError, match=words):  # a cache made on trust is judged like any other
        open_spectra(path)


REFUSED_ANYWAY = {
    "metres": ({"bands": lambda b: b * 1e-9}, {}, "neither nanometres nor micrometres"),
    "nm said to be um": ({}, {"wavelength_units": "um"}, "say that they are nanometers"),
    "a unit unknown": ({}, {"bands_units": "cm-1"}, "wavelength units 'cm-1' are not known"),
    "text": ({"bands": lambda b: np.array([f"{centre}" for centre in b], "S")}, {}, "numbers of nanometres are needed"),
    "one centre": ({"bands": lambda b: b * 0 + 500}, {}, "fewer than the two band centres"),
    "a dead band": ({"spectra": put((slice(None), 20), np.nan)}, {}, "1 of 268 bands hold no measurement .* 559 nm"),
    "all fill": ({"spectra": lambda v: v * 0 - 9999}, {}, "hold no measurement"),
}


@pytest.mark.parametrize("case", REFUSED_ANYWAY)
def test_what_cannot_be_read_at_all(tmp_path, rows, case):
    changes, attributes, words = REFUSED_ANYWAY[case]
    with pytest.raises(InputError, match=words) as error:
        open_spectra(written(tmp_path, rows, attributes, **changes))
    assert "fetch it again" not in str(error.value)


def test_micrometres_are_converted_with_a_word_or_because_the_file_says_so(tmp_path, rows, caplog):
    expected = rows["spectra"].astype(np.float32)
    for unit in ("Micrometers", "µm", b"um"):
        spectra = open_spectra(written(tmp_path, rows, {"bands_units": unit}, bands=lambda b: b / 1000))
        np.testing.assert_allclose(spectra.wavelength_nm, EMIT_NM, rtol=1e-12)
        assert not caplog.text
    for unit in ("Angstrom", "Ångström"):
        spectra = open_spectra(written(tmp_path, rows, {"bands_units": unit}, bands=lambda b: b * 10))
        np.testing.assert_allclose(spectra.wavelength_nm, EMIT_NM, rtol=1e-12)
    for _ in range(2):  # also when it comes from the cache
        caplog.clear()
        spectra = open_spectra(written(tmp_path, rows, bands=lambda b: b / 1000))
        np.testing.assert_allclose(spectra.wavelength_nm, EMIT_NM, rtol=1e-12)
        assert "0.410" in caplog.text and "are taken as micrometres" in caplog.text
    assert np.array_equal(spectra.take(np.arange(240)), expected)


@pytest.mark.parametrize("order", ["descending", "two detectors"])
def test_bands_that_do_not_ascend_are_sorted_with_their_columns(tmp_path, rows, caplog, order):
    turned = np.arange(268)[::-1] if order == "descending" else np.r_[0:90, 120, 90:120, 121:268]
    path = written(tmp_path, rows, bands=lambda b: b[turned], spectra=lambda v: v[:, turned])
    spectra = open_spectra(path)
    assert np.array_equal(spectra.wavelength_nm, EMIT_NM)
    assert np.array_equal(spectra.take(np.arange(240)), rows["spectra"].astype(np.float32))
    assert "does not ascend" in caplog.text


@pytest.mark.parametrize("fill", [-9999.0, -50.0, 0.0, np.nan, 0.7])
def test_a_few_rows_of_fill_are_left_out_and_counted(tmp_path, rows, caplog, fill):
    path = written(tmp_path, rows, spectra=put([0, 41, 239], fill))
    spectra = open_spectra(path)
    kept = np.setdiff1d(np.arange(240), [0, 41, 239])
    assert np.array_equal(spectra.take(np.arange(237)), rows["spectra"][kept].astype(np.float32))
    assert np.array_equal(spectra.labels, rows["labels"][kept])
    assert np.array_equal(spectra.indices, rows["indices"][kept])
    assert [spectra.fids[number].encode() for number in spectra.scene] == rows["fids"][kept].tolist()
    assert "3 of 240 spectra hold no measurement" in caplog.text
    caplog.clear()
    open_spectra(path)
    assert "3 of 240 spectra" in caplog.text  # said each time


def test_a_scene_that_is_all_fill_is_gone(tmp_path, caplog):
    rows = make_rows(scenes=30, per_scene=10, bands=EMIT_NM)
    spectra = open_spectra(written(tmp_path, rows, spectra=put(slice(0, 10), -9999.0)))
    assert len(spectra.fids) == 29 and rows["fids"][0].decode() not in spectra.fids


def test_few_bands_may_be_flat_but_hold_no_declared_fill(tmp_path, caplog):
    rows = make_rows(bands=np.linspace(450, 2200, 6))
    spectra = open_spectra(written(tmp_path, rows, spectra=put(slice(0, 40), 0.25)))
    assert len(spectra) == 240 and not caplog.text
    assert len(open_spectra(written(tmp_path, rows, None, {"_FillValue": 0.25}, spectra=put([2, 3], 0.25)))) == 238


PACKINGS = {
    "int16": (np.int16, {"scale_factor": 1e-4, "_FillValue": np.int16(-32768)}),
    "uint16 with an offset": (np.uint16, {"scale_factor": 2e-5, "add_offset": -0.1, "missing_value": np.uint16(65535)}),
    "float32 in per cent": (np.float32, {"scale_factor": 0.01, "_FillValue": np.float32(1e20)}),
    "int32, two fills": (np.int32, {"scale_factor": 1e-6, "missing_value": np.array([-1, 2**31 - 1], np.int32)}),
}


@pytest.mark.parametrize("case", PACKINGS)
def test_packed_numbers_are_unpacked_as_xarray_does(tmp_path, rows, case):
    dtype, attributes = PACKINGS[case]
    fill = np.atleast_1d(attributes.get("_FillValue", attributes.get("missing_value")))[-1]
    stored = (rows["spectra"] - attributes.get("add_offset", 0)) / attributes["scale_factor"]
    stored = np.round(stored).astype(dtype) if np.issubdtype(dtype, np.integer) else stored.astype(dtype)
    stored[[5, 8]] = fill
    path = written(tmp_path, rows, None, attributes, spectra=lambda v: stored)
    decoded = xr.conventions.decode_cf_variable("spectra", xr.Variable(("row", "band"), stored, attributes)).values
    good = np.isfinite(decoded).all(1)
    assert good.sum() == 238
    spectra = open_spectra(path)
    np.testing.assert_allclose(spectra.take(np.arange(238)), decoded[good], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"scale_factor": np.full(268, 1e-4)}, "scale_factor of /spectra holds too many numbers"),
        ({"scale_factor": 0.0}, "scale_factor of /spectra is 0"),
        ({"add_offset": "none"}, "add_offset of /spectra is not a number"),
        ({"valid_range": [0.0, 1.0, 2.0]}, "valid_range of /spectra holds 3 numbers, not two"),
        ({"_FillValue": "none"}, "_FillValue of /spectra is not a number"),
        ({"valid_max": 0.2}, "holds NaN, infinite or fill values"),
    ],
)
def test_packing_that_cannot_be_followed_is_named(tmp_path, rows, attributes, words):
    with pytest.raises(InputError, match=words):
        open_spectra(written(tmp_path, rows, None, attributes))


def test_labels_are_never_scaled_and_may_be_whole_floats_or_truth_values(tmp_path, rows):
    labels = rows["labels"]
    for change in (lambda v: v.astype(np.float64), lambda v: v.astype(np.uint8)):
        assert np.array_equal(open_spectra(written(tmp_path, rows, labels=change)).labels, labels)
    assert np.array_equal(open_spectra(written(tmp_path, rows, labels=lambda v: v == 1)).labels, labels == 1)
    path = written(tmp_path, rows)
    with h5py.File(path, "r+") as file:
        file["labels"].attrs["scale_factor"] = 2.0
    with pytest.raises(InputError, match="labels has the attribute scale_factor"):
        open_spectra(path)


def test_real_reflectance_is_accepted_without_a_word(reference, tmp_path, rows, caplog):
    golden = np.load(reference / "golden" / "emit_spectra.npz")
    real = np.load(reference / "golden" / "avirisng_20170323.npz")
    sets = [(golden["toa_reflectance"], golden["wavelength"]), (real["toa"].reshape(100, -1), real["wavelength"])]
    sets += [(golden["toa_reflectance"][golden["source"] == number], golden["wavelength"]) for number in (0, 1)]
    for toa, wavelength in sets:
        columns = {name: rows[name][np.arange(len(toa)) % 240] for name in ("labels", "fids", "indices")}
        path = write_hdf5(tmp_path / "real.h5", columns | {"spectra": toa, "bands": wavelength})
        assert len(open_spectra(path)) == len(toa)
    assert not caplog.text


@pytest.mark.parametrize("factor", [1.0, 0.01, 10.0])
def test_real_radiance_is_not_taken_for_reflectance(reference, tmp_path, rows, factor):
    scene = sc.open_scene(reference / "avirisng" / "ang20170323t202244_rdn_7000-7010")
    radiance = scene.read_radiance(0, scene.lines).reshape(100, -1) * factor
    columns = {name: rows[name][:100] for name in ("labels", "fids", "indices")}
    path = write_hdf5(tmp_path / "r.h5", columns | {"spectra": radiance, "bands": scene.sensor.wavelength_nm})
    with pytest.raises(InputError, match="sunlight's lines, as radiance does"):
        open_spectra(path)


COMMANDS = [
    "train {data} --train-csv {a} --test-csv {b} --outdir {out} --epochs 1 --arch-proj-dim 8",
    "train-comparison xgboost {data} --train-csv {a} --test-csv {b} --outdir {out}",
    "cloud-eval l2a {data} --draws 2",
    "dataset info {data}",
    "dataset split {data} --train-csv {out}/x.csv --test-csv {out}/y.csv",
]


@pytest.mark.parametrize("command", COMMANDS, ids=[" ".join(command.split()[:2]) for command in COMMANDS])
def test_every_command_refuses_and_can_be_told_to_go_on(tmp_path, capsys, command):
    rows = make_rows()
    path = written(tmp_path, rows, spectra=lambda v: v * 1e4)
    train_csv, test_csv = write_split(tmp_path, rows)
    out = tmp_path / "out"
    out.mkdir()
    words = command.format(data=path, a=train_csv, b=test_csv, out=out).split()
    assert main(words) == 3
    said = capsys.readouterr().err
    assert said.count("error:") == 1 and "multiplied by 10,000" in said and "--trust-input" in said
    assert main([*words, "--trust-input"]) == 0
    assert "warning" in capsys.readouterr().err


def test_one_kind_of_label_teaches_nothing(tmp_path, capsys):
    rows = make_rows()
    train_csv, test_csv = write_split(tmp_path, rows)
    for label, only in ((0, "clear"), (1, "cloud"), (2, "clear")):
        path = written(tmp_path, rows, labels=lambda v, label=label: np.full_like(v, label))
        command = ["train", str(path), "--train-csv", str(train_csv), "--test-csv", str(test_csv)]
        assert main([*command, "--outdir", str(tmp_path / "out")]) == 3
        assert f"all of them {only}" in capsys.readouterr().err
        for looks in (["dataset", "info", str(path)], ["cloud-eval", "l2a", str(path), "--draws", "2"]):
            assert main(looks) == 0
            assert f"all of them {only}" in capsys.readouterr().err


def test_labels_that_count_from_one_are_not_cloud_and_shadow(tmp_path, capsys):
    rows = make_rows()
    train_csv, test_csv = write_split(tmp_path, rows)
    path = written(tmp_path, rows, labels=lambda v: 1 + (v == 1))
    command = ["train", str(path), "--train-csv", str(train_csv), "--test-csv", str(test_csv)]
    assert main([*command, "--outdir", str(tmp_path / "out")]) == 3
    assert "do they count from 1?" in capsys.readouterr().err
    assert main(["dataset", "info", str(path)]) == 0
    assert "do they count from 1?" in capsys.readouterr().err


@pytest.mark.parametrize("value", [0.0, -0.01])
def test_bands_of_one_value_are_named(tmp_path, rows, caplog, value):
    open_spectra(written(tmp_path, rows, spectra=put((slice(None), slice(20, 23)), value)))
    assert f"3 of 268 bands hold the same value in all spectra, the first {value:g} at" in caplog.text
