"""Harmonized Landsat and Sentinel-2 (HLS) v2.0 of NASA's LP DAAC: L30 and S30, one TIFF a band.

Numbers are surface reflectance times 10000, seen from straight above (NBAR), but for the bands of water vapour and
cirrus, which hold top-of-atmosphere reflectance (HLS v2.0 user guide).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.errors import InputError
from spectf_cloud.readers.band_stack import (
    SURFACE_NOTE,
    Band,
    check_resolution,
    holds,
    left_out_note,
    open_stack,
    open_tiff,
    read_tiff,
)
from spectf_cloud.readers.delivery import Delivery, is_archive, open_delivery
from spectf_cloud.readers.sensor_yaml import known_sensors
from spectf_cloud.scene import Facts, Scene

BoolArray = NDArray[np.bool_]

_RESOLUTION_M = 30.0
_FILL, _SCALE = -9999.0, 1e-4
#: Bands of top-of-atmosphere reflectance: water vapour and cirrus.
_TOA_BANDS = {"L30": ("B09",), "S30": ("B09", "B10")}
# HLS.S30.T13RCN.2024128T173909.v2.0.B8A.tif
_NAME = re.compile(r"(HLS\.[LS]30\.T\w{5}\.(\d{7}T\d{6})\.v2\.\d)\.(\w+)\.tif", re.IGNORECASE)

_FMASK_FILL = 255
_AEROSOL_BIT = 6


@dataclass(frozen=True, eq=False)
class Fmask:
    """What the Fmask of HLS says of each pixel, each of the shape of its numbers; nothing where there is no data.

    cirrus, cloud, adjacent, shadow, snow, water, nodata
        bool; v2.0 never sets cirrus, and `adjacent` is next to cloud or shadow.
    aerosol
        uint8: 0 climatology, 1 low, 2 average, 3 high.
    """

    cirrus: BoolArray
    cloud: BoolArray
    adjacent: BoolArray
    shadow: BoolArray
    snow: BoolArray
    water: BoolArray
    aerosol: NDArray[np.uint8]
    nodata: BoolArray


def decode_fmask(fmask: NDArray[np.uint8]) -> Fmask:
    """Decode the bits of Fmask numbers (any shape, uint8, 255 for no data).

    >>> decode_fmask(np.array([2, 8 + 64], np.uint8)).shadow
    array([False,  True])
    """
    nodata = fmask == _FMASK_FILL
    held = np.where(nodata, 0, fmask).astype(np.uint8)
    cirrus, cloud, adjacent, shadow, snow, water = (held & 1 << bit != 0 for bit in range(_AEROSOL_BIT))
    return Fmask(cirrus, cloud, adjacent, shadow, snow, water, (held >> _AEROSOL_BIT).astype(np.uint8), nodata)


def read_fmask(path: Path) -> Fmask:
    """Read the Fmask of the granule at a path, as `open_hls` takes it: (lines, samples). Raises `InputError`."""
    delivery = open_delivery(path)
    granule, names = _granule(delivery, path)
    if (name := names.get("FMASK")) is None:
        raise InputError(f"{delivery.path} has no {granule}.Fmask.tif; download it too")
    fmask = read_tiff(delivery, name)
    if fmask.dtype != np.uint8:
        raise InputError(f"{delivery.path}: {name} holds {fmask.dtype}, not the uint8 of Fmask")
    return decode_fmask(fmask)


def is_hls(path: Path) -> bool:
    """Whether a path is one of the TIFFs of an HLS granule, or a folder or archive that holds some."""
    if path.is_dir() or is_archive(path):
        return holds(path, lambda delivery: bool(_granules(delivery)))
    return path.is_file() and _NAME.fullmatch(path.name) is not None


def open_hls(path: Path, resolution_m: float | None = None) -> Scene:
    """Open an HLS granule without reading its pixels.

    path
        The folder or archive of a granule, or any one of its TIFFs.
    resolution_m
        None or 30, the pixel size of HLS.

    Returns surface reflectance (lines, samples, bands) of the bands that are there, in the order of wavelength, NaN
    where there is no data. Raises `InputError`.
    """
    check_resolution("HLS", _RESOLUTION_M, resolution_m)
    delivery = open_delivery(path)
    granule, names = _granule(delivery, path)
    sensor = granule.split(".")[1].upper()
    nominal = known_sensors()[f"HLS_{sensor}"].by_name
    held = {band: name for band in nominal if (name := names.get(band)) is not None}
    if not held:
        raise InputError(f"{delivery.path}: {granule} has no band of reflectance there; download {', '.join(nominal)}")
    bands = [_band(delivery, band, name, *nominal[band]) for band, name in held.items()]
    with open_tiff(delivery, bands[0].file) as raster:
        tags, dtype = raster.tags(), raster.dtypes[0]
    cube = open_stack(
        delivery,
        bands,
        name=granule,
        sensor=f"HLS_{sensor}",
        dtypes=("int16", "uint16", "float32", "float64"),
        fill=_FILL,
        quantity="surface_reflectance",
        facts=_facts(granule, sensor, tags, _notes(sensor, held, nominal, dtype)),
    )
    return Scene.of_reflectance(cube)


def _granules(delivery: Delivery) -> dict[str, dict[str, str]]:
    """Return the names of each granule's TIFFs by their bands, in capitals."""
    granules: dict[str, dict[str, str]] = {}
    for name in delivery.names:
        if found := _NAME.fullmatch(PurePosixPath(name).name):
            granules.setdefault(found[1], {})[found[3].upper()] = name
    return granules


def _granule(delivery: Delivery, path: Path) -> tuple[str, dict[str, str]]:
    """Return the granule that a path means, and its TIFFs by their bands. Raises `InputError`."""
    granules = _granules(delivery)
    named = _NAME.fullmatch(path.name)
    if named and named[1] in granules:
        return named[1], granules[named[1]]
    if not granules:
        raise InputError(f"{delivery.path} has no HLS granule (HLS.*.v2.0.B*.tif); give its folder or one of its bands")
    if len(granules) > 1:
        raise InputError(f"{delivery.path} holds {len(granules)} HLS granules; name a band of one")
    return next(iter(granules.items()))


def _band(delivery: Delivery, band: str, name: str, centre_nm: float, fwhm_nm: float) -> Band:
    """Return a band with the scale that its TIFF declares; copies in floats hold reflectance itself."""
    with open_tiff(delivery, name) as raster:
        if np.dtype(raster.dtypes[0]).kind == "f":
            return Band(band, name, centre_nm, fwhm_nm, 1.0)
        tags = raster.tags()
        gain = raster.scales[0] if raster.scales[0] != 1 else _SCALE
        gain = _number(tags, "scale_factor", f"{delivery.path}: {name}", gain)
        bias = _number(tags, "add_offset", f"{delivery.path}: {name}", raster.offsets[0])
    if gain <= 0:
        raise InputError(f"{delivery.path}: {name} has the scale {gain:g}; it must be above zero")
    return Band(band, name, centre_nm, fwhm_nm, gain, bias)


def _number(tags: Mapping[str, str], key: str, where: str, default: float) -> float:
    try:
        value = float(tags.get(key, default))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{where}: {key} is {tags.get(key, default)!r}, not a number")
    return value


def _notes(sensor: str, held: Mapping[str, str], nominal: Mapping[str, Any], dtype: str) -> tuple[str, ...]:
    notes = [SURFACE_NOTE]
    if toa := [band for band in _TOA_BANDS[sensor] if band in held]:
        notes.append(f"{', '.join(toa)}: top-of-atmosphere reflectance all the same")
    if missing := [band for band in nominal if band not in held]:
        notes.append(left_out_note(missing))
    if dtype != "int16":
        meaning = "reflectance times 10000" if dtype == "uint16" else "reflectance itself"
        notes.append(f"stored as {dtype}, not as NASA delivers it: taken for {meaning}")
    return tuple(notes)


def _facts(granule: str, sensor: str, tags: Mapping[str, str], notes: tuple[str, ...]) -> Facts:
    zenith, azimuth = (_angle(tags.get(f"MEAN_SUN_{angle}_ANGLE", "")) for angle in ("ZENITH", "AZIMUTH"))
    landsat = re.match(r"L\w0(\d)_", tags.get("LANDSAT_PRODUCT_ID", ""))
    sentinel = re.match(r"S(2[A-Z])_", tags.get("PRODUCT_URI", ""))
    named = f"Landsat {landsat[1]}" if landsat else f"Sentinel-{sentinel[1]}" if sentinel else None
    return Facts(
        product=granule,
        level=f"{sensor} {granule[-4:]}",
        acquired=_acquired(granule, tags),
        sun_zenith_deg=zenith,
        sun_azimuth_deg=azimuth,
        satellite=tags.get("SPACECRAFT_NAME") or named,
        notes=notes,
    )


def _angle(text: str) -> float | None:
    try:
        value = float(text.split(";")[0])
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _acquired(granule: str, tags: Mapping[str, str]) -> datetime | None:
    """Return when the first of the scenes in a granule was seen, UTC; else the time in its name."""
    try:
        # Landsat's seven decimals are one more than a time has.
        seen = [text.strip().rstrip("Z")[:26] for text in tags.get("SENSING_TIME", "").split(";")]
        return min(datetime.fromisoformat(text) for text in seen).replace(tzinfo=UTC)
    except ValueError:
        pass
    try:
        return datetime.strptime(granule.split(".")[3], "%Y%jT%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None
