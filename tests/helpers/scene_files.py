"""Small scene files written from arrays, independently of the simulator."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import rasterio
from rasterio.crs import CRS
from rasterio.errors import NotGeoreferencedWarning

OBS_NAMES = (
    "Path length (sensor-to-ground in meters)",
    "To-sensor azimuth (0 to 360 degrees CW from N)",
    "To-sensor zenith (0 to 90 degrees from zenith)",
    "To-sun azimuth (0 to 360 degrees CW from N)",
    "To-sun zenith (0 to 90 degrees from zenith)",
    "Solar phase",
    "Slope",
    "Aspect",
    "Cosine(i)",
    "UTC Time",
    "Earth-sun distance (AU)",
)
# As netCDF stores them, so that every format can hold the same numbers.
WAVELENGTH_NM = np.linspace(400.0, 2400.0, 12).astype(np.float32).astype(np.float64)
FWHM_NM = np.full(12, 9.0)
_ENVI_CODE = {"u1": 1, "i2": 2, "i4": 3, "f4": 4, "f8": 5, "u2": 12}
_ENVI_ORDER = {"bil": (0, 2, 1), "bip": (0, 1, 2), "bsq": (2, 0, 1)}


@dataclass(frozen=True, eq=False)
class Arrays:
    """Radiance (lines, samples, bands) and geometry (lines, samples, 11) float32."""

    radiance: np.ndarray
    obs: np.ndarray


def arrays(lines: int = 7, samples: int = 5, seed: int = 0) -> Arrays:
    """Plausible radiance (1–20) and geometry (sun zenith 30–40°, 1.01 AU)."""
    rng = np.random.default_rng(seed)
    radiance = rng.uniform(1, 20, (lines, samples, len(WAVELENGTH_NM))).astype(np.float32)
    obs = rng.uniform(0, 10, (lines, samples, len(OBS_NAMES))).astype(np.float32)
    obs[..., 4] = rng.uniform(30, 40, (lines, samples))
    obs[..., 9] = 4.07  # the time in the name, hours
    obs[..., 10] = 1.01
    return Arrays(radiance, obs)


def write_emit(
    folder: Path,
    data: Arrays,
    *,
    stem: str = "EMIT_L1B_{}_001_20240203T040506_2403404_007",
    wavelength: np.ndarray = WAVELENGTH_NM,
    units: str = "nm",
    names: tuple[str, ...] = OBS_NAMES,
    glt: tuple[np.ndarray, np.ndarray] | None = None,
    glt_fill: int = 0,
    **storage: object,
) -> tuple[Path, Path]:
    """RAD and OBS netCDF; ``storage`` goes to h5py (chunks, compression). Contiguous by default."""
    paths = folder / f"{stem.format('RAD')}.nc", folder / f"{stem.format('OBS')}.nc"
    for path, name, values in zip(paths, ("radiance", "obs"), (data.radiance, data.obs), strict=True):
        with h5py.File(path, "w") as file:
            variable = file.create_dataset(name, data=values, **storage)
            variable.attrs["_FillValue"] = np.array([-9999.0], np.float32)
            group = file.create_group("sensor_band_parameters")
            if name == "obs":
                if names:
                    group["observation_bands"] = list(names)
            else:
                group["wavelengths"] = wavelength.astype(np.float32)
                group["fwhm"] = FWHM_NM.astype(np.float32)
                group["wavelengths"].attrs["units"] = units
            if glt is not None:
                for key, column in zip(("glt_x", "glt_y"), glt, strict=True):
                    file[f"location/{key}"] = column.astype(np.int32)
                    file[f"location/{key}"].attrs["_FillValue"] = np.array([glt_fill], np.int32)
                file.attrs["geotransform"] = [10.0, 0.0005, 0.0, 50.0, 0.0, -0.0005]
                file.attrs["spatial_ref"] = CRS.from_epsg(4326).to_wkt()
    return paths


def write_envi(
    data_path: Path,
    values: np.ndarray,
    *,
    header: str = "{}.hdr",
    dtype: str = "<f4",
    interleave: str = "bil",
    offset: int = 0,
    fields: dict[str, str] | None = None,
) -> Path:
    """One ENVI raster; ``header`` names the header after the data file. Returns the header's path."""
    lines, samples, bands = values.shape
    stored = np.transpose(values, _ENVI_ORDER[interleave]).astype(dtype)
    data_path.write_bytes(b"\0" * offset + stored.tobytes())
    content = {
        "samples": samples,
        "lines": lines,
        "bands": bands,
        "header offset": offset,
        "data type": _ENVI_CODE[dtype.lstrip("<>")],
        "interleave": interleave,
        "byte order": int(dtype.startswith(">")),
        **(fields or {}),
    }
    header_path = data_path.with_name(header.format(data_path.name))
    header_path.write_text("ENVI\n" + "".join(f"{key} = {value}\n" for key, value in content.items()))
    return header_path


def write_tiff(
    path: Path,
    values: np.ndarray,
    *,
    fields: dict[str, str] | None = None,
    header: str | None = "{}.hdr",
    mask: np.ndarray | None = None,
    scales: tuple[float, float] | None = None,
    **options: object,
) -> Path:
    """A TIFF of (lines, samples, bands) as GDAL writes it, beside an ENVI header named after its stem.

    ``mask`` (lines, samples) goes inside; ``scales`` are factor and offset of every band; ``options`` go to rasterio.
    """
    lines, samples, bands = values.shape
    profile = {"driver": "GTiff", "height": lines, "width": samples, "count": bands, "dtype": values.dtype.name}
    with (
        warnings.catch_warnings(),
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
    ):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "w", **profile | options) as dataset:
            dataset.write(np.moveaxis(values, -1, 0))
            if scales is not None:
                dataset.scales, dataset.offsets = ([scale] * bands for scale in scales)
            if mask is not None:
                dataset.write_mask(mask)
    if header is not None:
        content = {"file type": "TIFF", "samples": samples, "lines": lines, "bands": bands} | (fields or {})
        text = "".join(f"{key} = {value}\n" for key, value in content.items())
        path.with_name(header.format(path.stem)).write_text("ENVI\n" + text)
    return path


def wavelength_fields(factor: float = 1.0, units: str | None = "Nanometers") -> dict[str, str]:
    """Header fields of the band centres and widths, divided by ``factor``."""
    fields = {
        "wavelength": "{" + ", ".join(f"{value / factor!r}" for value in WAVELENGTH_NM.tolist()) + "}",
        "fwhm": "{" + ",\n ".join(f"{value / factor!r}" for value in FWHM_NM.tolist()) + "}",
    }
    return fields if units is None else fields | {"wavelength units": units}


def obs_fields() -> dict[str, str]:
    """Header fields of an OBS file, names over several lines as delivered."""
    return {"band names": "{\n" + ",\n".join(OBS_NAMES) + "}"}


def write_envi_scene(folder: Path, data: Arrays, stem: str = "ang1_{}_v1") -> tuple[Path, Path]:
    """Radiance and OBS as delivered ENVI: float32 and float64 BIL without suffix. Returns the data files."""
    radiance, obs = folder / stem.format("rdn"), folder / stem.format("obs")
    write_envi(radiance, data.radiance, fields=wavelength_fields() | {"data ignore value": "-9999"})
    write_envi(obs, data.obs, dtype="<f8", fields=obs_fields())
    return radiance, obs


@contextmanager
def raster(path: Path) -> Iterator[rasterio.DatasetReader]:
    """Reopen a written raster; small scenes without location are meant to have no georeference."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path) as dataset:
            yield dataset


def hung_attribute(folder: Path) -> tuple[Path, Path]:
    """A granule with a text attribute of which HDF5 reads the same piece of its heap again and again, lock in hand."""
    radiance, observation = write_emit(folder, arrays(6, 5))
    with h5py.File(radiance, "a") as file:
        del file["sensor_band_parameters/wavelengths"].attrs["units"]
        file["sensor_band_parameters/wavelengths"].attrs["units"] = "Nanometers (nm)"
    content = bytearray(radiance.read_bytes())
    # Its size, which stands before it: with 16 bytes of header the object takes no place at all.
    struct.pack_into("<Q", content, content.index(b"Nanometers (nm)") - 8, 2**64 - 16)
    radiance.write_bytes(content)
    return radiance, observation
