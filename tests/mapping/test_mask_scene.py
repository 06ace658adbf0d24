import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import spectf_cloud as sc
from spectf_cloud import tokens
from spectf_cloud.errors import InputError, UsageError
from spectf_cloud.files.resources import resource
from spectf_cloud.inference.options import parse_bytes
from spectf_cloud.mapping.memory import block_lines
from spectf_cloud.readers.irradiance import read_irradiance
from spectf_cloud.simulation.granule import SimulationConfig, simulate_granule
from spectf_cloud.weights import find_weights

from scene_files import FWHM_NM, WAVELENGTH_NM, arrays, write_emit, write_envi_scene
from small_scenes import as_reflectance

SAMPLE = next((Path(__file__).parents[2] / "datasets" / "sample").glob("EMIT_L1B_RAD_*.nc"))
KEPT = (WAVELENGTH_NM > 405) & ~((WAVELENGTH_NM >= 1275) & (WAVELENGTH_NM <= 1321))


def straightforward(data):
    """Probability (lines, samples) by the formulas, whole arrays at once, with −9999."""
    irradiance = np.load(resource("irr.npy"))
    weights = np.exp(-0.5 * ((irradiance[:, :1] - WAVELENGTH_NM) / (FWHM_NM / 2.355)) ** 2)
    solar = (weights * irradiance[:, 1:]).sum(0) / weights.sum(0)
    cosine = np.cos(np.deg2rad(data.obs[..., 4:5].astype(np.float64)))
    with np.errstate(invalid="ignore"):
        toa = np.pi * data.radiance * np.float64(np.float32(1.01)) ** 2 / (solar * cosine)
    good = (data.radiance[..., KEPT] != -9999).all(-1) & np.isfinite(data.radiance[..., KEPT]).all(-1)
    good &= (data.obs[..., 4] >= 0) & (data.obs[..., 4] < 90) & (data.obs[..., 10] != -9999)
    probability = np.full(good.shape, -9999, np.float32)
    probability[good] = sc.predict(toa[good][:, KEPT], WAVELENGTH_NM[KEPT])
    return probability


def holes(data):
    data.radiance[0] = -9999
    data.radiance[1, 1, 6] = -9999
    data.radiance[1, 2, 6] = np.nan
    data.radiance[1, 3, 6] = np.inf
    data.radiance[1, 4, 5] = -9999  # 1309 nm: a dropped band may be missing
    data.obs[2, 0], data.obs[2, 1, 4], data.obs[2, 2, 10] = -9999, 91, -9999
    return data


def test_equals_the_formulas_on_whole_arrays(tmp_path):
    data = holes(arrays())
    mask = sc.mask_scene(sc.open_scene(*write_emit(tmp_path, data)))
    expected = straightforward(data)
    missing = expected == -9999
    np.testing.assert_array_equal(mask.probability == -9999, missing)
    assert missing[1].tolist() == [False, True, True, True, False]
    np.testing.assert_allclose(mask.probability[~missing], expected[~missing], atol=1e-5)
    np.testing.assert_array_equal(mask.mask == 255, missing)
    np.testing.assert_array_equal(mask.mask[~missing], expected[~missing] > mask.threshold)


@pytest.mark.parametrize("weights", ["builtin", "official:v0.1.0"])
def test_format_storage_and_threads_change_no_bit(tmp_path, official, weights):
    data = holes(arrays(lines=40, samples=23))
    first = sc.mask_scene(sc.open_scene(*write_emit(tmp_path, data)), weights=weights, threads=1)
    others = [write_envi_scene(tmp_path, data)]
    (tmp_path / "c").mkdir()
    others.append(write_emit(tmp_path / "c", data, chunks=(16, 23, 4), compression="gzip"))
    for pair in others:
        again = sc.mask_scene(sc.open_scene(*pair), weights=weights, threads=2)
        np.testing.assert_array_equal(again.probability, first.probability)


@pytest.mark.parametrize("granule", ["sample", "holes"])
def test_reflectance_is_masked_as_the_radiance_it_was_made_of(tmp_path, monkeypatch, granule):
    monkeypatch.setattr(tokens, "FEW_BANDS", 6)  # one of the granules has twelve
    scene = sc.open_scene(SAMPLE if granule == "sample" else write_emit(tmp_path, holes(arrays()))[0])
    irradiance = read_irradiance(resource("irr_astm_g173.npy"))
    expected, mask = sc.mask_scene(scene), sc.mask_scene(as_reflectance(scene, irradiance))
    np.testing.assert_array_equal(mask.probability == -9999, expected.probability == -9999)
    np.testing.assert_allclose(mask.probability, expected.probability, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(mask.preview.reflectance, expected.preview.reflectance)
    assert mask.tags["SPECTF_QUANTITY"] == "toa_reflectance" and "SPECTF_QUANTITY" not in expected.tags
    assert {"SPECTF_OBSERVATION", "SPECTF_IRRADIANCE_SHA256"}.isdisjoint(mask.tags)
    for product, name in ((mask.to_geotiff, "m.tif"), (mask.to_netcdf, "m.nc"), (mask.to_quicklook, "m.png")):
        product(tmp_path / name)


def test_block_size_changes_no_bit(tmp_path, monkeypatch):
    scene = sc.open_scene(*write_emit(tmp_path, holes(arrays(lines=20))))
    whole = sc.mask_scene(scene)
    for lines in (1, 3):
        monkeypatch.setattr("spectf_cloud.mapping.mask_scene.block_lines", lambda *_, read=lines: read)
        np.testing.assert_array_equal(sc.mask_scene(scene).probability, whole.probability)


def test_threshold_progress_and_tags(tmp_path):
    seen = []
    scene = sc.open_scene(*write_emit(tmp_path, arrays()))
    mask = sc.mask_scene(scene, threshold=0.25, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (35, 35)
    assert mask.threshold == 0.25
    assert mask.tags["SPECTF_THRESHOLD"] == "0.25"
    assert mask.tags["SPECTF_WEIGHTS_SHA256"] == find_weights().sha256
    assert mask.tags["SPECTF_RADIANCE"] == scene.image.path.name
    seen_nm = WAVELENGTH_NM[KEPT]
    np.testing.assert_allclose(
        mask.preview.wavelength_nm,
        [seen_nm[np.abs(seen_nm - wanted).argmin()] for wanted in (640, 550, 460, 1380, 1420, 1890)],
    )
    with pytest.raises(UsageError, match="threshold"):
        sc.mask_scene(scene, threshold=1.5)


def test_a_scene_without_data_is_all_no_data_with_a_warning(tmp_path, caplog):
    data = arrays()
    data.radiance[...] = np.nan
    with caplog.at_level(logging.WARNING, "spectf_cloud"):
        mask = sc.mask_scene(sc.open_scene(*write_emit(tmp_path, data)))
    assert (mask.mask == 255).all()
    assert np.isnan(mask.cloud_fraction)
    assert "no pixel has data" in caplog.text


def test_a_scene_without_geometry_is_all_no_data(tmp_path):
    data = arrays()
    data.obs[...] = -9999
    assert (sc.mask_scene(sc.open_scene(*write_emit(tmp_path, data))).mask == 255).all()


@pytest.mark.parametrize("weights", ["official:v0.1.0", "builtin"])
def test_weights_with_another_irradiance_than_their_own_warn(tmp_path, official, caplog, weights):
    scene = sc.open_scene(*write_emit(tmp_path, arrays()))
    with caplog.at_level(logging.WARNING, "spectf_cloud"):
        sc.mask_scene(scene, weights=weights)
    assert "another irradiance" not in caplog.text
    other = "published" if weights == "builtin" else "astm-g173"
    with caplog.at_level(logging.WARNING, "spectf_cloud"):
        sc.mask_scene(scene, weights=weights, irradiance=other)
    assert "another irradiance" in caplog.text


def test_the_real_cube_gives_the_published_logits(reference, official):
    golden = np.load(reference / "golden" / "avirisng_20170323.npz")
    logits = golden["logits_v0.1.0"].astype(np.float64)
    scene = sc.open_scene(reference / "avirisng" / "ang20170323t202244_rdn_7000-7010")
    mask = sc.mask_scene(scene, weights="official:v0.1.0", fidelity="exact")
    # log-odds of the probability are the logit difference, as far as float32 probabilities resolve it
    p = mask.probability.astype(np.float64).reshape(-1)
    np.testing.assert_allclose(np.log(p / (1 - p)), logits[:, 1] - logits[:, 0], atol=2e-4)
    assert mask.cloud_fraction == 0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros(5), r"must be an \(n, 2\) array"),
        (np.array([[500.0, 1.0], [400.0, 1.0]]), "ascend"),
        (np.array([[400.0, 1.0], [500.0, -1.0]]), "positive"),
        (np.array([{"a": 1}]), "cannot be read"),
        (np.array([["a", "b"], ["c", "d"]]), r"must be an \(n, 2\) array"),
    ],
)
def test_an_irradiance_that_is_none_is_named(tmp_path, values, message):
    np.save(tmp_path / "irr.npy", values, allow_pickle=True)
    with pytest.raises(InputError, match=message):
        read_irradiance(tmp_path / "irr.npy")


def test_memory_limits_make_blocks_smaller_or_are_refused(tmp_path):
    scene = sc.open_scene(*write_emit(tmp_path, arrays()))
    assert block_lines(scene) >= 7
    assert block_lines(scene, parse_bytes("64GB")) == block_lines(scene)
    assert block_lines(scene, None, busy_lines=100_000) == 100_000
    assert 100_000 < block_lines(scene, None, busy_lines=10**9) < 2**28 / (5 * 12 * 4)
    with pytest.raises(UsageError, match="raise --memory-limit"):
        block_lines(scene, parse_bytes("10MB"))
    (tmp_path / "c").mkdir()
    assert block_lines(sc.open_scene(*write_emit(tmp_path / "c", arrays(lines=30), chunks=(4, 5, 11)))) % 4 == 0


def test_a_chunk_as_large_as_the_scene_does_not_make_the_block_so(tmp_path):
    scene = sc.open_scene(*write_emit(tmp_path, arrays(), chunks=(7, 5, 1)))
    huge = replace(scene, image=replace(scene.image, lines=1280, samples=1242, bands=285, lines_per_chunk=1280))
    assert block_lines(huge) * 1242 * 285 * 4 <= 256 * 2**20


@pytest.mark.parametrize(("text", "value"), [("1.5GB", 1_500_000_000), ("800 MiB", 800 * 2**20), ("4096", 4096)])
def test_sizes_are_understood(text, value):
    assert parse_bytes(text) == value


@pytest.mark.parametrize("text", ["", "much", "-1GB", "1.5XB", "0"])
def test_sizes_that_are_none_are_refused(text):
    with pytest.raises(UsageError, match="memory limit"):
        parse_bytes(text)


def test_a_simulated_scene_has_the_same_bits_as_netcdf_and_as_envi(tmp_path):
    simulate_granule(tmp_path, SimulationConfig(lines=8, samples=20, seed=4, format="both"))
    emit, envi = (sc.open_scene(next(tmp_path.glob(pattern))) for pattern in ("EMIT_L1B_RAD_*.nc", "*_rdn_*.hdr"))
    np.testing.assert_array_equal(emit.sensor.wavelength_nm, envi.sensor.wavelength_nm)
    np.testing.assert_array_equal(emit.sensor.fwhm_nm, envi.sensor.fwhm_nm)
    np.testing.assert_array_equal(sc.mask_scene(emit).probability, sc.mask_scene(envi).probability)
