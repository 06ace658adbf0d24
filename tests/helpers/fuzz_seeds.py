"""Small valid files of every kind we read, for the fuzzers to start from."""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import torch

from spectf_cloud.model import ModelConfig

from rasters import reflectance, write_raster

LINES, SAMPLES, BANDS = 4, 3, 6
#: Contiguous, chunked, packed: the storage paths of the reader.
_STORAGE = (
    {},
    {"chunks": (2, 3, 2)},
    {"chunks": (4, 2, 3), "compression": "gzip", "shuffle": True, "fletcher32": True},
)

ENVI_HEADER = f"""ENVI
description = {{a small cube,
 over two lines}}
; a comment = here
samples = {SAMPLES}
lines = {LINES}
bands = {BANDS}
header offset = 0
file type = ENVI Standard
data type = 4
interleave = bil
byte order = 0
data ignore value = -9999
map info = {{UTM, 1, 1, 500000, 4000000, 30, 30, 11, North, WGS-84, units=Meters}}
coordinate system string = {{GEOGCS["GCS_WGS_1984",DATUM["D_WGS_1984",SPHEROID["WGS_1984",6378137,298.257223563]]]}}
wavelength units = Nanometers
wavelength = {{400.0, 500.0, 600.0, 700.0, 800.0, 900.0}}
fwhm = {{9.0, 9.0, 9.0, 9.0, 9.0, 9.0}}
data gain values = {{1, 1, 1, 1, 1, 1}}
data offset values = {{0, 0, 0, 0, 0, 0}}
band names = {{a, b, c, d, e, f}}
"""

WGS84 = (
    'GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563]],'
    'PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433],AUTHORITY["EPSG","4326"]]'
)

YAML = (
    "architecture: {dim_output: 2, num_heads: 8, dim_proj: 64, dim_ff: 64, dropout: 0.1, agg: max}\n"
    "spectra:\n  drop_band_ranges: [[0, 405.0], [1275, 1321]]\n",
    "threshold: 0.4\nname: &n mine\nother: *n\nwhen: 2024-01-31\nblob: !!binary aGVsbG8=\n",
)


def emit() -> Iterator[bytes]:
    """Radiance and geometry, with location and look-up table, in each storage."""
    for name, bands in (("radiance", BANDS), ("obs", 11)):
        for storage in _STORAGE:
            yield _hdf5(lambda file, name=name, bands=bands, storage=storage: _granule(file, name, bands, storage))


def _granule(file: h5py.File, name: str, bands: int, storage: dict[str, object]) -> None:
    values = np.random.default_rng(0).uniform(1, 20, (LINES, SAMPLES, bands)).astype("f4")
    file.create_dataset(name, data=values, **storage).attrs["_FillValue"] = np.array([-9999], "f4")
    group = file.create_group("sensor_band_parameters")
    if name == "obs":
        group["observation_bands"] = [f"{role} {i}" for i, role in enumerate(["To-sun zenith"] * 11)]
    else:
        group["wavelengths"] = np.linspace(400, 900, bands, dtype="f4")
        group["fwhm"] = np.full(bands, 9, "f4")
        group["wavelengths"].attrs["units"] = "nm"
    for key in ("lon", "lat", "elev"):
        file[f"location/{key}"] = np.zeros((LINES, SAMPLES))
    for key in ("glt_x", "glt_y"):
        file[f"location/{key}"] = np.ones((5, 5), "i4")
    file.attrs["geotransform"] = [10.0, 0.0005, 0.0, 50.0, 0.0, -0.0005]
    file.attrs["spatial_ref"] = WGS84


def spectra() -> Iterator[bytes]:
    """A file of labelled spectra."""

    def fill(file: h5py.File) -> None:
        file["spectra"], file["labels"] = np.full((9, 4), 0.3), np.arange(9) % 3
        file["fids"], file["indices"] = np.array([b"scene"] * 9), np.zeros((9, 2), int)
        file.attrs["bands"] = np.linspace(400, 900, 4)

    yield _hdf5(fill)


def weights() -> Iterator[bytes]:
    """A state dict in PyTorch's present and its old format."""
    state = ModelConfig(num_heads=1, dim_proj=4, dim_ff=4).build([400.0, 500.0]).state_dict()
    for new in (True, False):
        buffer = io.BytesIO()
        torch.save(state, buffer, _use_new_zipfile_serialization=new)
        yield buffer.getvalue()


def irradiance() -> Iterator[bytes]:
    """A table as .npy, and an archive of tables that is none."""
    buffer = io.BytesIO()
    np.save(buffer, np.array([[400.0, 1.0], [500.0, 2.0]]))
    yield buffer.getvalue()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a.npy", buffer.getvalue())
    yield archive.getvalue()


def rasters() -> Iterator[bytes]:
    """Reflectance as floats, as packed whole numbers with a scale and no data, and within an archive."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "seed.tif"
        yield write_raster(path, reflectance(LINES, SAMPLES, BANDS).astype("f4")).read_bytes()
        stored = (reflectance(40, 30, BANDS) * 1e4).round().astype("u2")
        tiles = {"tiled": True, "blockxsize": 16, "blockysize": 16, "compress": "deflate"}
        yield write_raster(path, stored, scales=(1e-4, -0.1), nodata=0, **tiles).read_bytes()
        with zipfile.ZipFile(path.with_suffix(".zip"), "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(path, "a/seed.tif")
        yield path.with_suffix(".zip").read_bytes()


def _hdf5(fill: object) -> bytes:
    # On disk rather than in memory: only there does h5py write the oldest, checksum-free layout.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "seed.h5"
        with h5py.File(path, "w") as file:
            fill(file)  # type: ignore[operator]
        return path.read_bytes()
