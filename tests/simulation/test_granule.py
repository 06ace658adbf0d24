"""Simulated granules as files: reopened with other readers, and judged by the published network."""

import hashlib
import logging
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import xarray

import spectf_cloud as sc
from spectf_cloud.data.spectra import open_spectra
from spectf_cloud.dataset import open_scene
from spectf_cloud.errors import InputError, OutputError, UsageError
from spectf_cloud.files.resources import resource
from spectf_cloud.model import ModelConfig
from spectf_cloud.simulation import cloud_fields as cover
from spectf_cloud.simulation import labelled_spectra as hdf5
from spectf_cloud.simulation.cloud_fields import CloudLayer
from spectf_cloud.simulation.config import SimulationConfig
from spectf_cloud.simulation.granule import simulate_granule, simulate_scene
from spectf_cloud.simulation.lines import radiance_lines
from spectf_cloud.simulation.noise import noise_sigma
from spectf_cloud.simulation.presets import PRESETS
from spectf_cloud.simulation.scene import SimulatedScene
from spectf_cloud.toa import reflectance_per_radiance, resample_irradiance, toa_reflectance

from scene_files import raster

CONFIG = SimulationConfig(
    lines=60, samples=52, seed=11, format="both", start=datetime(2024, 7, 1, 10, 30, 5, tzinfo=UTC)
)


@pytest.fixture(scope="module")
def scene() -> SimulatedScene:
    return simulate_scene(CONFIG)


@pytest.fixture(scope="module")
def granule(tmp_path_factory) -> dict[str, Path]:
    return simulate_granule(tmp_path_factory.mktemp("granule"), CONFIG).files


def test_names_are_the_delivered_ones(granule):
    assert granule["radiance"].name == "EMIT_L1B_RAD_001_20240701T103005_2418307_001.nc"
    assert granule["observation"].name == "EMIT_L1B_OBS_001_20240701T103005_2418307_001.nc"
    assert granule["envi_radiance"].name == "emit20240701t103005_o2418307_s001_l1b_rdn_b0106_v01.img"
    folder = granule["truth"].parent
    assert sorted(folder.iterdir()) == sorted(granule.values())


def test_radiance_file_is_laid_out_as_delivered(granule):
    with h5py.File(granule["radiance"]) as file:
        radiance = file["radiance"]
        assert radiance.shape == (60, 52, 285) and radiance.dtype == np.float32
        assert radiance.chunks is None and radiance.compression is None and radiance.id.get_offset() > 0
        assert radiance.attrs["units"] in ("uW/cm^2/SR/nm", b"uW/cm^2/SR/nm") and radiance.attrs["_FillValue"] == -9999
        for name in ("wavelengths", "fwhm"):
            assert file[f"sensor_band_parameters/{name}"].dtype == np.float32
        assert [scale[0].name.strip("/") for scale in radiance.dims] == ["downtrack", "crosstrack", "bands"]
        assert file.attrs["product_version"] == "V001"
        assert file.attrs["time_coverage_start"] == "2024-07-01T10:30:05+0000"
        assert "SIMULATED" in file.attrs["simulated"]
        assert "EPSG" in file.attrs["spatial_ref"] and file.attrs["geotransform"].shape == (6,)
        glt = file["location/glt_x"]
        assert glt.dtype == np.int32 and glt.attrs["_FillValue"] == 0


def test_other_readers_open_it(granule, scene):
    with xarray.open_dataset(granule["observation"]) as file:
        assert file["obs"].dims == ("downtrack", "crosstrack", "bands")
        assert np.isnan(file["obs"].values[~scene.geometry.valid]).all()
    with xarray.open_dataset(granule["observation"], group="sensor_band_parameters") as file:
        assert str(file["observation_bands"].values[4]) == "To-sun zenith (0 to 90 degrees from zenith)"
    opened = open_scene(granule["radiance"])
    assert (opened.lines, opened.samples) == (60, 52)
    valid = scene.geometry.valid
    assert np.array_equal(opened.read_sun_zenith_deg(0, 60)[valid], scene.geometry.obs[valid, 4])


def test_envi_carries_the_same_numbers(granule):
    netcdf = open_scene(granule["radiance"])
    envi = open_scene(granule["envi_radiance_header"], granule["envi_observation_header"])
    assert np.array_equal(netcdf.read_radiance(0, 60), envi.read_radiance(0, 60))
    zeniths = [scene.read_sun_zenith_deg(0, 60) for scene in (netcdf, envi)]
    assert np.array_equal(*zeniths, equal_nan=True)
    assert np.array_equal(netcdf.sensor.wavelength_nm, envi.sensor.wavelength_nm)
    assert np.array_equal(netcdf.sensor.fwhm_nm, envi.sensor.fwhm_nm)
    with raster(granule["envi_radiance"]) as file:
        assert (file.count, file.height, file.width, file.nodata) == (285, 60, 52, -9999)
        assert np.array_equal(file.read(), np.moveaxis(netcdf.read_radiance(0, 60), 2, 0))
    with raster(granule["envi_location"]) as file, h5py.File(granule["radiance"]) as radiance:
        assert np.array_equal(file.read(1), radiance["location/lon"][()])


def test_every_file_names_its_irradiance(granule):
    sha256 = hashlib.sha256(resource("irr.npy").read_bytes()).hexdigest()
    for role in ("radiance", "observation"):
        with h5py.File(granule[role]) as file:
            assert (file.attrs["irradiance"], file.attrs["irradiance_sha256"]) == ("published", sha256)
    header = granule["envi_radiance_header"].read_text()
    assert f"irradiance = published\nirradiance_sha256 = {sha256}\n" in header


def test_truth_has_named_layers(granule, scene):
    with raster(granule["truth"]) as file:
        names = ["optical_thickness", "phase", "top_height_km", "surface_class", "shadow", "mask"]
        assert list(file.descriptions[:6]) == names
        truth = dict(zip(file.descriptions, file.read(), strict=True))
    valid = scene.geometry.valid
    assert set(np.unique(truth["mask"][~valid])) == {255} and set(np.unique(truth["mask"][valid])) == {0, 1}
    thick = (truth["liquid_optical_thickness"] >= 3) | (truth["ice_optical_thickness"] >= 0.2)
    assert np.array_equal(thick[valid], truth["mask"][valid] == 1)
    assert (truth["optical_thickness"][~valid] == -9999).all()
    assert len(np.unique(truth["surface_class"][valid])) >= 4
    assert truth["shadow"][valid].min() >= 0 and truth["shadow"][valid].max() <= 1


def test_the_seed_alone_decides(scene):
    again = simulate_scene(CONFIG)
    assert np.array_equal(scene.radiance_line(17), again.radiance_line(17))
    assert not np.array_equal(scene.radiance_line(17), scene.radiance_line(18))


def test_workers_and_order_change_nothing(scene):
    one, three = (np.stack(list(radiance_lines(scene, workers))) for workers in (1, 3))
    assert np.array_equal(one, three)
    assert np.array_equal(one[40], scene.radiance_line(40))


def test_compression_and_rounding(tmp_path, scene):
    config = replace(CONFIG, format="netcdf", compressed=True, significant_bits=6)
    files = simulate_granule(tmp_path, config).files
    with h5py.File(files["radiance"]) as file:
        assert file["radiance"].compression == "gzip"
        rounded = file["radiance"][()]
    exact = np.stack(list(radiance_lines(scene)))
    valid = scene.geometry.valid
    assert (rounded[~valid] == -9999).all()
    assert np.abs(rounded[valid] / exact[valid] - 1).max() <= 2.0**-7
    assert not np.any(rounded[valid].view(np.uint32) & np.uint32((1 << 17) - 1))


def test_noise_is_that_of_the_instrument(scene):
    lit = np.flatnonzero(scene.geometry.valid)[:800]
    clean = scene.radiance(lit)
    noisy = scene.noisy_radiance(lit, np.random.default_rng(0))
    score = (noisy - clean) / noise_sigma(clean, scene.sensor.wavelength_nm)
    assert score.mean() == pytest.approx(0, abs=0.01) and score.std() == pytest.approx(1, abs=0.01)


def test_clouds_brighten_and_shadows_darken(scene):
    """Against the very same pixels without clouds anywhere."""
    none = {phase: replace(layer, thickness=np.zeros_like(layer.thickness)) for phase, layer in scene.layers.items()}
    open_sky = replace(scene, layers=none, light=np.ones_like(scene.light))
    labels = hdf5.label(scene)
    red = int(np.abs(scene.sensor.wavelength_nm - 650).argmin())
    for label, brighter in ((hdf5.CLOUD_LABEL, True), (hdf5.SHADOW_LABEL, False)):
        pixels = np.flatnonzero(labels == label)
        change = scene.reflectance(pixels)[:, red] - open_sky.reflectance(pixels)[:, red]
        assert ((change > 0) == brighter).mean() > 0.95
    clear = np.flatnonzero((labels == hdf5.CLEAR_LABEL).ravel() & (scene.light.ravel() > 0.999))
    assert scene.reflectance(clear) == pytest.approx(open_sky.reflectance(clear), abs=0.03)


def test_only_high_clouds_shine_in_the_water_band(scene):
    """The same cloud as ice at 10 km, and as low water."""
    band = int(np.abs(scene.sensor.wavelength_nm - 1380).argmin())
    pixels = np.flatnonzero(scene.geometry.valid)[:50]
    shapes = {phase: np.zeros_like(layer.thickness) for phase, layer in scene.layers.items()}
    seen = {}
    for phase, height in (("liquid", 1.0), ("ice", 10.0)):
        thickness = shapes | {phase: np.full_like(shapes[phase], 2.0)}
        layers = {name: CloudLayer(values, np.full_like(values, height)) for name, values in thickness.items()}
        seen[phase] = replace(scene, layers=layers).reflectance(pixels)[:, band]
    assert seen["ice"].min() > 0.05 > 20 * seen["liquid"].max()


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_presets_draw_what_they_promise(name):
    preset = PRESETS[name]
    rng = np.random.default_rng(5)
    liquid, ice = cover.draw_liquid((80, 90), preset, rng), cover.draw_ice((80, 90), preset, rng)
    land = cover.draw_land((80, 90), preset, rng)
    for layer, (low, high) in ((liquid, preset.liquid_cover), (ice, preset.ice_cover)):
        # Soft edges reach a pixel or two beyond the share that was drawn.
        assert (layer.thickness > 0.2).mean() <= high + 0.1
        assert (layer.thickness > 0.001).mean() >= low
    assert len(land.classes) >= min(4, len(preset.land))
    assert land.shares.sum(axis=0) == pytest.approx(np.ones((80, 90)), abs=1e-5)


def test_geometry_like_a_real_file(reference, tmp_path):
    path = next((reference / "emit").glob("EMIT_L1B_OBS*.nc"))
    scene = simulate_scene(SimulationConfig(like=path, seed=2))
    assert scene.shape == (200, 200)
    with h5py.File(path) as file:
        assert np.array_equal(scene.geometry.obs, file["obs"][()])
    assert np.isfinite(scene.radiance_line(100)).all()


def test_surfaces_from_a_library(tmp_path):
    path = tmp_path / "grey.csv"
    nm = np.arange(380, 2510, 10)
    np.savetxt(path, np.column_stack([nm, np.full(len(nm), 0.3)]), delimiter=",")
    scene = simulate_scene(replace(CONFIG, surfaces=path, preset="clear"))
    urban = [scene.spectra[2 * i] for i, number in enumerate(scene.land.classes) if number == 5]
    assert all(np.ptp(spectrum) == 0 for spectrum in urban)


@pytest.mark.parametrize(
    "wrong",
    [{"lines": 3}, {"seed": -1}, {"workers": 0}, {"format": "hdf4"}, {"significant_bits": 0}, {"preset": "fog"},
     {"start": datetime(2024, 1, 1)}],
)  # fmt: skip
def test_wrong_wishes_are_usage_errors(wrong):
    with pytest.raises(UsageError):
        simulate_scene(SimulationConfig(**{"lines": 10, "samples": 10} | wrong))


def test_unusable_irradiance_is_named(tmp_path):
    path = tmp_path / "sun.npy"
    path.write_text("no")
    with pytest.raises(InputError, match=r"sun\.npy"):
        simulate_scene(replace(CONFIG, irradiance=path))


def test_existing_files_are_kept(granule, tmp_path):
    before = granule["radiance"].stat().st_mtime_ns
    with pytest.raises(OutputError, match="--overwrite"):
        simulate_granule(granule["truth"].parent, CONFIG)
    assert granule["radiance"].stat().st_mtime_ns == before
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="folder"):
        simulate_granule(tmp_path / "file" / "out", CONFIG)


def test_the_published_network_tells_clouds(reference):
    """The independent judge, on a small scene; evaluation/simulation judges many."""
    scene = simulate_scene(replace(CONFIG, irradiance=reference / "official/irr.npy", seed=4))
    labels = hdf5.label(scene).ravel()
    rng = np.random.default_rng(0)
    thick = np.flatnonzero(scene.layers["liquid"].thickness.ravel() > 10)
    clear = np.flatnonzero((labels == hdf5.CLEAR_LABEL) | (labels == hdf5.SHADOW_LABEL))
    pixels = np.concatenate([rng.choice(thick, 100, replace=False), rng.choice(clear, 200, replace=False)])
    kept = scene.sensor.kept()
    obs = scene.geometry.obs.reshape(-1, 11)[pixels]
    solar = resample_irradiance(
        np.load(reference / "official/irr.npy"), scene.sensor.wavelength_nm, scene.sensor.fwhm_nm
    )
    factors = reflectance_per_radiance(solar[kept], float(obs[0, 10]))
    toa = toa_reflectance(scene.noisy_radiance(pixels, rng)[:, kept], factors, obs[:, 4].astype(np.float64))
    network = ModelConfig().build(scene.sensor.wavelength_nm[kept])
    weights = reference / "official/v0.1.0/weights.pt"
    network.load_state_dict(torch.load(weights, weights_only=True, map_location="cpu"))
    with torch.inference_mode():
        cloud = torch.softmax(network.eval()(torch.from_numpy(toa[:, :, None])), 1)[:, 1].numpy() > 0.51
    assert cloud[:100].mean() >= 0.95
    assert cloud[100:].mean() <= 0.03


def test_data_set_has_the_published_schema(tmp_path, caplog):
    path = tmp_path / "x.hdf5"
    config = hdf5.DatasetConfig(scenes=2, spectra_per_scene=60, presets=("mixed", "scattered"), lines=40, samples=44)
    seen = []
    report = hdf5.simulate_dataset(path, config, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 2), (2, 2)]
    with h5py.File(path) as file:
        assert set(file) == {"spectra", "labels", "fids", "indices"}
        assert file["spectra"].dtype == np.float64 and file["spectra"].shape == (120, 268)
        assert file["labels"].dtype == np.int64 and set(np.unique(file["labels"])) <= {0, 1, 2}
        assert file["indices"].dtype == np.int64 and file["indices"].shape == (120, 2)
        assert file.attrs["bands"].dtype == np.float64 and file.attrs["bands"].shape == (268,)
        assert set(file["fids"][()]) == {b"simulated00000000", b"simulated00000001"}
        counts = np.bincount(file["labels"][()], minlength=3)
        assert (report.clear, report.cloud, report.shadow) == tuple(counts)
        clear = np.median(file["spectra"][()][file["labels"][()] == 0], axis=0)
        assert file.attrs["irradiance"] == "published"
        assert file.attrs["irradiance_sha256"] == hashlib.sha256(resource("irr.npy").read_bytes()).hexdigest()
    assert 0.02 < clear[100] < 0.6
    with caplog.at_level(logging.WARNING, "spectf_cloud"):
        assert len(open_spectra(path, cache_dir=tmp_path / "cache")) == 120
    assert not caplog.text


def test_labels_are_those_of_the_truth(scene):
    pixels = hdf5.draw_pixels(scene, 200)
    truth = {name: layer[tuple(pixels.indices.T)] for name, layer in scene.truth().items()}
    assert np.array_equal(pixels.labels == 1, truth["mask"] == 1)
    assert (truth["optical_thickness"][pixels.labels != 1] < 0.05).all()
    assert (truth["shadow"][pixels.labels == 2] >= 0.5).all()
    # Divided by the irradiance it was made with, a spectrum is the reflectance that was simulated.
    flat = pixels.indices @ np.array([scene.shape[1], 1])
    expected = scene.reflectance(flat)[:, scene.sensor.kept()]
    assert np.abs(pixels.toa - expected).mean() < 0.003


def test_a_mask_of_its_envi_form_says_that_it_is_simulated(tmp_path):
    made = simulate_granule(tmp_path, SimulationConfig(lines=8, samples=9, seed=1, format="envi"))
    mask = sc.mask_scene(sc.open_scene(made.files["envi_radiance"], made.files["envi_observation"]))
    assert mask.tags["SPECTF_SIMULATED"].startswith("SIMULATED")
