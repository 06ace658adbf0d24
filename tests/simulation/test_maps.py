"""Simulated maps as GeoTIFF: reopened, placed, and summed over the bands of other sensors."""

from dataclasses import replace

import numpy as np
import pytest

from spectf_cloud import sensors
from spectf_cloud.classes import CLASSES, NODATA
from spectf_cloud.errors import OutputError, UsageError
from spectf_cloud.readers import raster as tiff
from spectf_cloud.sensor import Sensor
from spectf_cloud.simulation.config import SimulationConfig
from spectf_cloud.simulation.granule import SimulatedGranule, simulate_granule, simulate_scene
from spectf_cloud.simulation.truth import class_truth

from scene_files import raster

S2 = Sensor(
    "S2",
    np.array([442.7, 492.7, 559.8, 664.6, 704.1, 740.5, 782.8, 832.8, 864.7, 945.1, 1373.5, 1613.7, 2202.4]),
    np.array([20.0, 65, 35, 30, 14, 14, 19, 105, 21, 19, 29, 90, 174]),
)
CONFIG = SimulationConfig(lines=40, samples=36, seed=6, preset="mixed", format="tif", sensor=S2, pixel_m=20)


@pytest.fixture(scope="module")
def scene():
    return simulate_scene(CONFIG)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> SimulatedGranule:
    return simulate_granule(tmp_path_factory.mktemp("map"), CONFIG)


def expected(scene):
    pixels = np.arange(scene.shape[0] * scene.shape[1])
    return scene.reflectance(pixels).reshape(*scene.shape, -1).transpose(2, 0, 1)


def test_the_file_holds_the_reflectance(made, scene):
    valid = scene.geometry.valid
    with raster(made.files["reflectance"]) as file:
        values = file.read()
        assert (file.count, file.height, file.width, file.nodata) == (13, 40, 36, -9999)
        tags = [file.tags(band) for band in file.indexes]
        assert file.tags()["quantity"] == "toa_reflectance" and file.tags()["simulated"].startswith("SIMULATED")
        assert "sensor=S2" in file.tags()["simulation"] and "pixel_m=20" in file.tags()["simulation"]
    assert np.array_equal(values[:, valid], expected(scene)[:, valid]) and (values[:, ~valid] == -9999).all()
    assert [float(tag["wavelength"]) for tag in tags] == S2.wavelength_nm.tolist()
    assert [float(tag["fwhm"]) for tag in tags] == S2.fwhm_nm.tolist()
    assert {tag["wavelength_units"] for tag in tags} == {"Nanometers"}


def test_whole_numbers_have_a_scale_and_no_data(tmp_path, scene):
    made = simulate_granule(tmp_path, replace(CONFIG, dtype="uint16"))
    valid = scene.geometry.valid
    with raster(made.files["reflectance"]) as file:
        stored = file.read()
        assert file.dtypes[0] == "uint16" and file.nodata == 0 and set(file.scales) == {1e-4}
    assert (stored[:, ~valid] == 0).all() and (stored[:, valid] > 0).all()
    assert np.abs(stored * 1e-4 - expected(scene))[:, valid].max() < 1e-4
    cube = tiff.open_cube(made.files["reflectance"])
    read = cube.read(0, 40).transpose(2, 0, 1)
    assert cube.simulated and np.array_equal(cube.sensor.wavelength_nm, S2.wavelength_nm)
    assert np.isnan(read[:, ~valid]).all() and np.abs(read - expected(scene))[:, valid].max() < 1e-4


def test_the_truth_beside_it_has_names_and_colours(made, scene):
    with raster(made.files["truth"]) as file:
        classes = file.read(1)
        assert file.dtypes == ("uint8",) and file.nodata == NODATA and file.crs.is_projected
        for each in CLASSES:
            assert file.tags(1)[f"class_{each.value}"] == each.name
            assert file.colormap(1)[each.value] == (*each.colour, 255)
        place = file.transform, file.crs
    assert np.array_equal(classes, class_truth(scene))
    assert set(made.class_shares) <= {*(each.name for each in CLASSES), "left out"}
    for role in ("reflectance", "truth_layers"):
        with raster(made.files[role]) as file:
            assert (file.transform, file.crs) == place
    assert sorted(made.files["truth"].parent.iterdir()) == sorted(made.files.values())


def test_blocks_of_lines_and_workers_change_nothing(tmp_path, made, monkeypatch):
    from spectf_cloud.simulation import geotiff

    monkeypatch.setattr(geotiff, "MAX_BLOCK_BYTES", 16 * 36 * 13 * 4)
    seen = []
    again = simulate_granule(tmp_path, replace(CONFIG, workers=3), progress=lambda *done: seen.append(done))
    with raster(made.files["reflectance"]) as one, raster(again.files["reflectance"]) as other:
        assert other.block_shapes[0] == (16, 256) and np.array_equal(one.read(), other.read())
    assert seen[-1] == (40, 40)


def test_every_sensor_sees_the_same_scene(scene):
    """A broad band is the integral over a scene of the same seed in many narrow bands."""
    nm = np.arange(380.0, 2496.0, 5.0)
    fine = simulate_scene(replace(CONFIG, sensor=Sensor("fine", nm, np.full(len(nm), 6.0))))
    assert np.array_equal(class_truth(fine), class_truth(scene))
    pixels = np.flatnonzero(scene.geometry.valid)[::9]
    spectra, bands = fine.reflectance(pixels), scene.reflectance(pixels)
    for band, (centre, fwhm) in enumerate(zip(S2.wavelength_nm, S2.fwhm_nm, strict=True)):
        weight = fine.irradiance * np.exp(-4 * np.log(2) * (nm - centre) ** 2 / (fwhm**2 - 36))
        assert np.abs(bands[:, band] - spectra @ (weight / weight.sum())).max() < 3e-3, centre


def test_pixels_lie_where_the_file_says(scene):
    geometry = scene.geometry
    lat, lon = np.deg2rad(geometry.lat), np.deg2rad(geometry.lon)
    inner = np.s_[:, 3:-3]
    for axis in (0, 1):
        north, east = (np.diff(angle[inner], axis=axis) * 6371008.8 for angle in (lat, lon))
        east = east * np.cos(lat[inner].mean())
        # On a sphere; meridians of the ellipsoid are bent up to 0.7 % more.
        assert np.hypot(north, east) == pytest.approx(np.full(north.shape, 20.0), rel=8e-3)
    assert (np.diff(geometry.lat[inner], axis=0) < 0).all() and (np.diff(geometry.lon[inner], axis=1) > 0).all()
    west, size, _, top, _, down = geometry.geotransform
    assert size == -down == 20 and west % 20 == top % 20 == 0
    assert geometry.glt_x[5, 7] == 8 and geometry.glt_y[5, 7] == 6


def test_shadows_fall_away_from_the_sun(scene):
    """On the map itself: x to the east, y to the north, within the few degrees to grid north."""
    per_line, per_sample = scene.geometry.shadow_step()
    obs = scene.geometry.obs[scene.geometry.valid].mean(axis=0, dtype=float)
    reach = {name: np.tan(np.deg2rad(obs[zenith])) / 0.02 for name, zenith in (("view", 2), ("sun", 4))}
    azimuth = {name: np.deg2rad(obs[column]) for name, column in (("view", 1), ("sun", 3))}
    east, north = (
        reach["view"] * turn(azimuth["view"]) - reach["sun"] * turn(azimuth["sun"]) for turn in (np.sin, np.cos)
    )
    length = np.hypot(east, north)
    assert np.hypot(per_sample - east, -per_line - north) < 0.06 * length


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"format": "netcdf"}, "--format tif"),
        ({"format": "netcdf", "sensor": None, "pixel_m": None, "dtype": "uint16"}, "--dtype cannot"),
        ({"compressed": True}, "--compressed cannot"),
        ({"significant_bits": 8}, "--significant-bits"),
        ({"pixel_m": 0.0}, "0.5 m or more"),
        ({"pixel_m": float("nan")}, "0.5 m or more"),
        ({"lines": 1280, "pixel_m": 1000.0}, "at most 400 km"),
        ({"dtype": "int8"}, "uint16"),
    ],
)
def test_options_that_cannot_be_meant(wrong, message):
    with pytest.raises(UsageError, match=message):
        replace(CONFIG, **wrong)


def test_a_file_that_describes_the_sensor_is_never_written_over(tmp_path):
    small = replace(CONFIG, lines=8, samples=8)
    described = simulate_granule(tmp_path, small).files["reflectance"]
    before = described.read_bytes()
    with pytest.raises(OutputError, match="is an input of this run"):
        simulate_granule(tmp_path, replace(small, sensor=str(described)), overwrite=True)
    assert described.read_bytes() == before
    again = simulate_granule(tmp_path / "again", replace(small, sensor=str(described)))
    with raster(described) as one, raster(again.files["reflectance"]) as other:
        assert np.array_equal(one.read(), other.read())


def finite(name):
    scene = simulate_scene(replace(CONFIG, lines=8, samples=8, sensor=name))
    seen = scene.reflectance(np.flatnonzero(scene.geometry.valid))
    return bool(np.isfinite(seen).all()) and seen.min() >= 0 and seen.max() < 2


@pytest.mark.parametrize("name", ["LANDSAT8", "RGB", "MODIS", "PACE_OCI"])
def test_registered_sensors_are_finite_and_within_reason(name):
    assert finite(name)


@pytest.mark.slow
def test_every_registered_sensor_is_finite_and_within_reason():
    assert [name for name in sensors.names() if not finite(name)] == []


def test_a_registered_sensor_keeps_its_names(tmp_path):
    made = simulate_granule(tmp_path, replace(CONFIG, lines=8, samples=8, sensor="Sentinel-2A"))
    with raster(made.files["reflectance"]) as file:
        assert file.descriptions[:2] == ("B01", "B02") and file.descriptions[8] == "B8A"
