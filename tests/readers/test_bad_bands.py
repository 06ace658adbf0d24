"""Bands without data, bands marked bad, and pixels of undeclared fill: each against the scene that never had them."""

import logging
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

import spectf_cloud as sc
from spectf_cloud.__main__ import main
from spectf_cloud.errors import InputError
from spectf_cloud.files.resources import resource
from spectf_cloud.readers.bad_bands import empty_bands, in_words
from spectf_cloud.readers.irradiance import read_irradiance
from spectf_cloud.tokens import Tokens

from scene_files import obs_fields, raster, write_envi

SAMPLE = Path(__file__).parents[2] / "datasets" / "sample"
LINES, SAMPLES = 8, 12
IRRADIANCE = read_irradiance(resource("irr.npy"))


@pytest.fixture(scope="module")
def sample():
    """Radiance (8, 12, 285), geometry, centres and widths of a corner of the simulated sample granule."""
    place = np.s_[10 : 10 + LINES, 20 : 20 + SAMPLES]
    with (
        h5py.File(next(SAMPLE.glob("*_RAD_*"))) as rad,
        h5py.File(next(SAMPLE.glob("*_OBS_*"))) as obs,
    ):
        bands = rad["sensor_band_parameters"]
        return rad["radiance"][place], obs["obs"][place], bands["wavelengths"][:], bands["fwhm"][:]


def listed(values):
    return "{" + ", ".join(map(repr, values.tolist())) + "}"


def write(folder, sample, radiance=None, keep=slice(None), shift_nm=0.0, **storage):
    """An ENVI scene of the sample's geometry; ``keep`` chooses bands. Returns radiance and observation paths."""
    rad, obs, wavelength_nm, fwhm_nm = sample
    values = (rad if radiance is None else radiance)[..., keep]
    fields = storage.pop("fields", {}) | {
        "wavelength units": "nm",
        "wavelength": listed(wavelength_nm[keep].astype(float) + shift_nm),
        "fwhm": listed(fwhm_nm[keep].astype(float)),
    }
    folder.mkdir(exist_ok=True)
    write_envi(folder / "s_rdn", values, fields=fields, **storage)
    write_envi(folder / "s_obs", obs, fields=obs_fields())
    return folder / "s_rdn", folder / "s_obs"


def water(sample):
    return (sample[2] > 1330) & (sample[2] < 1470)


@pytest.mark.parametrize("fill", [np.nan, -9999.0, -32767.0, -32768.0, 0.0, -50.0, np.finfo("f4").min])
def test_bands_without_data_are_left_out_and_named(tmp_path, sample, caplog, fill):
    radiance, bad = sample[0].copy(), water(sample)
    radiance[..., bad] = fill
    fields = {"data ignore value": "-32767"} if fill == -32767 else {}
    mask = sc.mask_scene(sc.open_scene(*write(tmp_path / "a", sample, radiance, fields=fields)))
    without = sc.mask_scene(sc.open_scene(*write(tmp_path / "b", sample, keep=~bad)))
    np.testing.assert_array_equal(mask.probability, without.probability)
    np.testing.assert_array_equal(mask.preview.reflectance, without.preview.reflectance)
    assert f"{bad.sum()} bands hold no data in any pixel and are left out: 1335–1469 nm" in caplog.text
    assert mask.tags["SPECTF_BANDS_LEFT_OUT"] == "1335–1469 nm"
    assert "SPECTF_BANDS_LEFT_OUT" not in without.tags


def test_a_band_with_data_anywhere_is_kept(tmp_path, sample):
    """Only where no sampled line lies: the whole scene has to be looked at."""
    radiance = np.repeat(sample[0], 3, axis=0)
    kept = radiance[5, 7, 140].copy()
    radiance[..., 140] = np.nan
    radiance[5, 7, 140] = kept
    geometry = (radiance, np.repeat(sample[1], 3, axis=0), *sample[2:])
    mask = sc.mask_scene(sc.open_scene(*write(tmp_path, geometry)))
    assert (mask.probability != -9999).sum() == 1 and mask.probability[5, 7] != -9999


def test_dark_bands_of_whole_numbers_are_data(tmp_path, sample):
    """DN 0 in a deep water band is a small radiance, not a missing one."""
    counts = np.rint(sample[0] / 0.01)
    counts[..., water(sample)] = 0
    fields = {"data gain values": listed(np.full(285, 0.01))}
    scene = sc.open_scene(*write(tmp_path, sample, counts, dtype="<i2", fields=fields))
    kept = np.flatnonzero(scene.sensor.kept())
    assert empty_bands(scene, kept).size == 0
    counts[..., 140] = -50
    scene = sc.open_scene(*write(tmp_path, sample, counts, dtype="<i2", fields=fields))
    assert empty_bands(scene, kept).tolist() == [140]


@pytest.mark.parametrize(
    ("dtype", "fill", "gain"),
    [
        ("<f4", 0, None),
        ("<f4", -50, None),
        ("<f4", np.finfo("f4").min, None),
        ("<f8", np.finfo("f8").min, None),
        ("<f4", -32768, None),
        ("<f4", -(2**31), None),
        ("<i4", -32768, 1e-5),
        (">i2", -32768, 0.002),
        ("<i2", 0, 0.002),
        ("<i4", -(2**31), 1e-5),
        ("<i2", -50, 0.002),
        ("<i2", -9999, 0.002),
    ],
)
def test_a_border_of_undeclared_fill_is_no_data(tmp_path, sample, dtype, fill, gain):
    fields = {}
    if gain:
        offset = -0.25
        fields = {"data gain values": listed(np.full(285, gain)), "data offset values": listed(np.full(285, offset))}
    stored = np.rint((sample[0] - offset) / gain) if gain else sample[0].astype(float)
    whole = sc.mask_scene(sc.open_scene(*write(tmp_path / "a", sample, stored, dtype=dtype, fields=fields)))
    stored[:2], stored[5, 5] = fill, fill
    mask = sc.mask_scene(sc.open_scene(*write(tmp_path / "b", sample, stored, dtype=dtype, fields=fields)))
    outside = np.zeros((LINES, SAMPLES), bool)
    outside[:2], outside[5, 5] = True, True
    np.testing.assert_array_equal(mask.probability == -9999, outside)
    np.testing.assert_array_equal(mask.probability[~outside], whole.probability[~outside])


def test_the_border_is_found_beside_bands_without_data(tmp_path, sample):
    radiance = sample[0].copy()
    radiance[:2] = 0
    radiance[..., water(sample)] = np.nan
    mask = sc.mask_scene(sc.open_scene(*write(tmp_path, sample, radiance)))
    assert (mask.probability[:2] == -9999).all() and (mask.probability[2:] != -9999).all()


def test_saturation_other_constants_and_single_bands_are_data(tmp_path, sample):
    fields = {"data gain values": listed(np.full(285, 0.001))}
    counts = np.rint(sample[0] / 0.001)
    counts[0] = 65535
    counts[1] = 700  # one value, but none that stands for fill
    counts[2] = 0
    counts[2, :, 100] = 1
    mask = sc.mask_scene(sc.open_scene(*write(tmp_path, sample, counts, dtype="<u2", fields=fields)))
    assert (mask.probability != -9999).all()


def test_with_few_bands_only_declared_fill_counts(tmp_path, sample):
    chosen = np.searchsorted(sample[2], [450, 550, 650, 860, 1000, 1200, 1250, 1380, 1600, 1700, 2200, 2300])
    radiance = sample[0].copy()
    radiance[0], radiance[1] = 0, -9999
    mask = sc.mask_scene(sc.open_scene(*write(tmp_path, sample, radiance, keep=chosen)))
    assert (mask.probability[0] != -9999).all() and (mask.probability[1] == -9999).all()


def marked_scene(folder, sample, radiance=None, **more):
    """The scene with its water bands marked bad."""
    scene = sc.open_scene(*write(folder, sample, radiance, **more))
    return replace(scene, image=replace(scene.image, marked_bad=tuple(np.flatnonzero(water(sample)))))


def test_emits_own_marks_change_no_byte(tmp_path, sample, official, caplog):
    plain = sc.open_scene(*write(tmp_path, sample))
    for weights in ("builtin", "official:v0.1.0"):
        with_marks = sc.mask_scene(marked_scene(tmp_path, sample), weights=weights)
        expected = sc.mask_scene(plain, weights=weights)
        np.testing.assert_array_equal(with_marks.probability, expected.probability)
        assert with_marks.tags == expected.tags
    assert "marked bad" not in caplog.text


@pytest.mark.parametrize("noise", ["normal", "positive", "fixed"])
@pytest.mark.parametrize("weights", ["builtin", "official:v0.1.0"])
def test_marked_bands_of_noise_are_left_out(tmp_path, sample, official, caplog, noise, weights):
    radiance, bad = sample[0].copy(), water(sample)
    drawn = np.random.default_rng(0).normal(0, 5, radiance[..., bad].shape)
    radiance[..., bad] = {"normal": drawn, "positive": abs(drawn), "fixed": 99.0}[noise]
    mask = sc.mask_scene(marked_scene(tmp_path / "a", sample, radiance), weights=weights)
    without = sc.mask_scene(sc.open_scene(*write(tmp_path / "b", sample, keep=~bad)), weights=weights)
    np.testing.assert_array_equal(mask.probability, without.probability)
    assert f"{bad.sum()} bands are marked bad (bbl) and left out: 1335–1469 nm; --keep-bands uses them" in caplog.text


@pytest.mark.parametrize(("dtype", "gain", "value"), [("<f4", None, -0.01), ("<f4", None, 0.1), ("<i2", 0.002, 0)])
def test_marked_bands_of_one_plausible_value_are_left_out(tmp_path, sample, caplog, dtype, gain, value):
    """Levels after radiance hold -0.01 there; whole numbers 0, which of a band not marked may be a measurement."""
    fields = {"data gain values": listed(np.full(285, gain))} if gain else {}
    radiance, bad = np.rint(sample[0] / gain) if gain else sample[0].copy(), water(sample)
    radiance[..., bad] = value
    mask = sc.mask_scene(marked_scene(tmp_path / "a", sample, radiance, dtype=dtype, fields=fields))
    some = {"data gain values": listed(np.full((~bad).sum(), gain))} if gain else {}
    bare = write(tmp_path / "b", sample, radiance, keep=~bad, dtype=dtype, fields=some)
    np.testing.assert_array_equal(mask.probability, sc.mask_scene(sc.open_scene(*bare)).probability)
    assert f"{bad.sum()} bands are marked bad" in caplog.text


def test_marks_of_another_sensor_count_unless_the_weights_are_published(tmp_path, sample, official):
    """Centres 3 nm from EMIT's."""
    scene = marked_scene(tmp_path, sample, shift_nm=3.0)
    assert not scene.sensor.is_emit()
    unmarked = replace(scene, image=replace(scene.image, marked_bad=()))
    all_bands = len(Tokens.of_scene(unmarked, IRRADIANCE).kept)
    assert len(Tokens.of_scene(scene, IRRADIANCE).kept) == all_bands - water(sample).sum()
    assert len(Tokens.of_scene(scene, IRRADIANCE, trained=True).kept) == all_bands
    assert sc.mask_scene(scene).tags["SPECTF_BANDS_LEFT_OUT"] == "1338–1472 nm"
    assert "SPECTF_BANDS_LEFT_OUT" not in sc.mask_scene(scene, weights="official:v0.1.0").tags


def test_keep_bands_uses_marked_bands(tmp_path, sample):
    radiance = sample[0].copy()
    radiance[..., water(sample)] = 99.0
    scene = marked_scene(tmp_path, sample, radiance)
    assert len(Tokens.of_scene(scene, IRRADIANCE, ()).kept) == 285


def test_few_bands_are_said_and_too_few_refused(tmp_path, sample, caplog):
    good = np.searchsorted(sample[2], np.linspace(450, 2300, 31))
    with caplog.at_level(logging.WARNING, "spectf_cloud"):
        sc.mask_scene(sc.open_scene(*write(tmp_path, sample, keep=good)))
    assert "only 30 bands are used" in caplog.text
    radiance = sample[0].copy()
    radiance[..., good[4:]] = -9999
    pair = write(tmp_path, sample, radiance, keep=good)
    with pytest.raises(InputError, match="only 4 of 31 bands are left, 26 hold no data"):
        sc.mask_scene(sc.open_scene(*pair))
    out = tmp_path / "m.tif"
    assert main(["deploy-pt", str(out), str(pair[1]), str(pair[0])]) == 3 and not out.exists()


def test_a_picture_of_a_scene_without_water_bands_shows_others(tmp_path, sample):
    radiance = sample[0].copy()
    radiance[..., (sample[2] > 1340) & (sample[2] < 1450)] = -9999
    pair = write(tmp_path, sample, radiance)
    out = tmp_path / "m.tif"
    assert main(["deploy-pt", str(out), str(pair[1]), str(pair[0]), "--quicklook", str(tmp_path / "q.png")]) == 0
    with raster(out) as mask:
        assert (mask.read(1) != 255).all()
        assert mask.tags()["SPECTF_BANDS_LEFT_OUT"] == "1342–1447 nm"


def test_bands_in_words():
    centre_nm = np.array([400.0, 410, 420, 1000, 2000, 430])
    assert in_words(centre_nm, np.array([1, 2, 5, 4])) == "410–430, 2000 nm"
    assert in_words(centre_nm, np.array([2, 1])) == "410–420 nm"
    assert in_words(centre_nm, np.array([], int)) == ""
