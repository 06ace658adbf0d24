"""Small scenes held in memory, for tests of what happens after masking."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spectf_cloud.products import CloudMask, Preview
from spectf_cloud.scene import NODATA, Cube, Glt, Grid, Location, Scene, missing
from spectf_cloud.sensor import Sensor
from spectf_cloud.toa import reflectance_per_radiance, resample_irradiance, toa_reflectance
from spectf_cloud.tokens import Tokens

WGS84 = (
    'GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563]],'
    'PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433],AUTHORITY["EPSG","4326"]]'
)
PREVIEW_NM = np.array([640.0, 550.0, 460.0, 1380.0, 1420.0, 1890.0])
RADIANCE = Path("EMIT_L1B_RAD_001_20230401T101112_2309101_003.nc")
OBSERVATION = Path("EMIT_L1B_OBS_001_20230401T101112_2309101_003.nc")
TAGS = {"SPECTF_VERSION": "0.0.test", "SPECTF_WEIGHTS": "v-test", "SPECTF_THRESHOLD": "0.5"}


@dataclass(frozen=True, eq=False, kw_only=True)
class ArrayCube(Cube):
    """Values in memory, read as a file would be."""

    values: np.ndarray
    place: Location | None = None
    table: Glt | None = None
    map_grid: Grid | None = None

    def read(self, start, stop, bands=None):
        block = self.values[start:stop]
        return block if bands is None else block[..., bands]

    def location(self):
        return self.place

    def glt(self):
        return self.table

    def grid(self):
        return self.map_grid


def array_cube(values, path, **more):
    """Values under the name of a file that need not be there."""
    lines, samples, bands = values.shape
    return ArrayCube(path=path, name=path.stem, lines=lines, samples=samples, bands=bands, values=values, **more)


def make_scene(lines, samples, *, location=None, glt=None, grid=None, path=RADIANCE, name=None):
    """A scene of constant radiance; only its shape and its place matter here."""
    sensor = Sensor("six bands", PREVIEW_NM, np.full(6, 8.0))
    values = np.ones((lines, samples, 6), np.float32)
    radiance = array_cube(values, path, sensor=sensor, place=location, table=glt, map_grid=grid)
    observation = array_cube(np.ones((lines, samples, 2)), OBSERVATION)
    return Scene(name or radiance.name, sensor, radiance, observation, 0, 1)


def as_reflectance(scene, irradiance):
    """The scene's TOA reflectance, made by the formulas on whole arrays, as a scene without geometry."""
    radiance, zenith_deg = scene.read_radiance(0, scene.lines), scene.read_sun_zenith_deg(0, scene.lines)
    solar = resample_irradiance(irradiance, scene.sensor.wavelength_nm, scene.sensor.fwhm_nm)
    factors = reflectance_per_radiance(solar, scene.earth_sun_au)
    toa = toa_reflectance(radiance.reshape(-1, scene.sensor.bands), factors, zenith_deg.ravel()).reshape(radiance.shape)
    toa[missing(radiance, scene.image.nodata) | np.isnan(zenith_deg)[..., None]] = NODATA
    cube = array_cube(toa, scene.image.path, sensor=scene.sensor, quantity="toa_reflectance", map_grid=scene.grid())
    return Scene.of_reflectance(cube)


def tokens_of(kept, factors, nodata=NODATA, fills=None):
    """Tokens of bands at these positions, a hundred nanometres apart."""
    kept = np.array(kept)
    fills = np.empty((0, len(kept))) if fills is None else fills
    widths_nm = np.full(len(kept), 10.0)
    return Tokens(
        kept=kept, wavelength_nm=400 + 100.0 * kept, fwhm_nm=widths_nm, factors=factors, nodata=nodata, fills=fills
    )


def make_mask(scene, seed=0, threshold=0.5, preview=True):
    """Smooth blobs of high probability, a no-data border on the right."""
    rng = np.random.default_rng(seed)
    line, sample = np.mgrid[: scene.lines, : scene.samples]
    probability = np.zeros((scene.lines, scene.samples))
    for _ in range(5):
        y, x = rng.uniform(0, scene.lines), rng.uniform(0, scene.samples)
        size = rng.uniform(0.05, 0.15) * max(scene.lines, scene.samples)
        probability = np.maximum(probability, np.exp(-((line - y) ** 2 + (sample - x) ** 2) / (2 * size**2)))
    probability = probability.astype(np.float32)
    edge = max(1, scene.samples // 20)
    seen = None
    if preview:
        ground = rng.uniform(0.05, 0.25, 6) * rng.uniform(0.8, 1.2, (scene.lines, scene.samples, 1))
        seen = (ground * [1, 1, 1, 0.05, 0.05, 0.05] + 0.6 * probability[..., None]).astype(np.float32)
        seen[:, -edge:] = np.nan
        seen = Preview(PREVIEW_NM, seen)
    probability[:, -edge:] = NODATA
    return CloudMask(scene, probability, threshold, TAGS, seen)


def sheared_location(lines, samples, lon0=10.0, lat0=45.0, step=0.0005):
    """Longitudes and latitudes of a track that does not run north."""
    line, sample = np.mgrid[:lines, :samples]
    lon = lon0 + step * (0.9 * sample + 0.3 * line)
    lat = lat0 - step * (0.9 * line - 0.3 * sample)
    return Location(lon, lat, np.full(lon.shape, 120.0))


def nearest_glt(location, step=0.0005):
    """The table that sends every map pixel to the sensor pixel nearest to it, by brute force."""
    lon, lat = location.lon_deg.ravel(), location.lat_deg.ravel()
    west, north = lon.min() - step / 2, lat.max() + step / 2
    width, height = int((lon.max() - west) / step) + 1, int((north - lat.min()) / step) + 1
    x = west + step * (np.arange(width) + 0.5)
    y = north - step * (np.arange(height) + 0.5)
    square = (x[None, :, None] - lon) ** 2 + (y[:, None, None] - lat) ** 2
    nearest = square.argmin(axis=-1)
    seen = square.min(axis=-1) < step**2
    line, sample = np.unravel_index(nearest, location.lon_deg.shape)
    return Glt(
        np.where(seen, line, -1).astype(np.int32),
        np.where(seen, sample, -1).astype(np.int32),
        (west, step, 0.0, north, 0.0, -step),
        WGS84,
    )
