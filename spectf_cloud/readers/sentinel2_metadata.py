"""What the two metadata files of a Sentinel-2 product say: its bands, scale and level; its grid, time and sun.

Source: ESA's Sentinel-2 Products Specification Document; PSD versions differ in namespaces, which are stripped.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.errors import InputError
from spectf_cloud.readers.metadata_xml import number_of, read_xml, text_of
from spectf_cloud.readers.raster import readable
from spectf_cloud.readers.sensor_yaml import known_sensor
from spectf_cloud.scene import Grid

FloatArray = NDArray[np.float64]

#: Bands in the order of their numbers in the metadata (8 is B8A), which is that of wavelength; the pixels of each, m.
NATIVE_M = {
    "B01": 60, "B02": 10, "B03": 10, "B04": 10, "B05": 20, "B06": 20, "B07": 20, "B08": 10, "B8A": 20, "B09": 60,
    "B10": 60, "B11": 20, "B12": 20,
}  # fmt: skip
_NUMBERS = {name: number for number, name in enumerate(NATIVE_M)}

_IMAGE = re.compile(r".*_(B(?:0[1-9]|1[0-2]|8A))(?:_(10|20|60)m)?")
_UTM = re.compile(r"EPSG:32[67]\d\d")


@dataclass(frozen=True)
class _Level:
    """Where the metadata of one processing level keep its scale."""

    name: str
    scale: str
    offset: str


_LEVELS = {
    "Level-1C_User_Product": _Level("L1C", "QUANTIFICATION_VALUE", "RADIO_ADD_OFFSET"),
    "Level-2A_User_Product": _Level("L2A", "BOA_QUANTIFICATION_VALUE", "BOA_ADD_OFFSET"),
}


@dataclass(frozen=True)
class Band:
    """One band: reflectance is (number + ``offset``) / the product's ``quantification``.

    image
        Its file as the metadata name it, without the suffix; `resolution_m` is the size of that file's pixels.
    """

    name: str
    image: str
    resolution_m: int
    centre_nm: float
    fwhm_nm: float
    offset: float


@dataclass(frozen=True)
class Product:
    """What MTD_MSIL1C.xml or MTD_MSIL2A.xml say: `level` is L1C or L2A, `bands` are in the order of wavelength."""

    name: str
    level: str
    baseline: str
    satellite: str
    began: datetime
    quantification: float
    bands: tuple[Band, ...]


@dataclass(frozen=True, eq=False)
class SunGrid:
    """The sun's angles at nodes that start at the outer corner of the upper left pixel: (rows, columns) float64, deg.

    row_m, column_m
        Distance of the nodes.
    """

    zenith_deg: FloatArray
    azimuth_deg: FloatArray
    row_m: float
    column_m: float

    def at(self, south_m: NDArray[np.floating], east_m: NDArray[np.floating]) -> tuple[FloatArray, FloatArray]:
        """Return zenith and azimuth, degrees, bilinear at distances from the corner: each (south_m, east_m)."""
        radians = np.deg2rad(self.azimuth_deg)
        nodes = np.stack([self.zenith_deg, np.cos(radians), np.sin(radians)])
        nodes = _between(nodes, south_m / self.row_m, axis=1)
        zenith, cosine, sine = _between(nodes, east_m / self.column_m, axis=2)
        return zenith, np.rad2deg(np.arctan2(sine, cosine)) % 360


@dataclass(frozen=True, eq=False)
class Tile:
    """What MTD_TL.xml says: the grid at one resolution, when the tile was seen, and where the sun stood."""

    lines: int
    samples: int
    grid: Grid
    acquired: datetime | None
    sun_zenith_deg: float | None
    sun_azimuth_deg: float | None
    sun: SunGrid | None


def read_product(content: bytes, source: str) -> Product:
    """Read a product's metadata. Raises `InputError` naming ``source``."""
    root = read_xml(content, source)
    level = _LEVELS.get(root.tag)
    if level is None:
        raise InputError(f"{source} holds {root.tag}, not a Level-1C or Level-2A product; give one of these")
    satellite = text_of(root, "SPACECRAFT_NAME", source)
    quantification = number_of(root, level.scale, source)
    if quantification <= 0:
        raise InputError(f"{source}: {level.scale} is {quantification:g}; a number above 0 is needed")
    return Product(
        name=text_of(root, "PRODUCT_URI", source).removesuffix(".SAFE"),
        level=level.name,
        baseline=text_of(root, "PROCESSING_BASELINE", source),
        satellite=satellite,
        began=_time(text_of(root, "PRODUCT_START_TIME", source), source),
        quantification=quantification,
        bands=_bands(root, level, satellite, source),
    )


def read_tile(content: bytes, source: str, resolution_m: int) -> Tile:
    """Read a tile's metadata for a grid of pixels of 10, 20 or 60 m. Raises `InputError` naming ``source``."""
    root = read_xml(content, source)
    size, corner = (_of_resolution(root, name, resolution_m, source) for name in ("Size", "Geoposition"))
    lines, samples = (number_of(size, name, source) for name in ("NROWS", "NCOLS"))
    for count in (lines, samples):  # bands of 10, 20 and 60 m then cover the same ground
        if count < 1 or count * resolution_m % max(NATIVE_M.values()):
            raise InputError(f"{source}: {lines:g} lines x {samples:g} samples of {resolution_m} m are no tile")
    west, north, x_step, y_step = (number_of(corner, name, source) for name in ("ULX", "ULY", "XDIM", "YDIM"))
    if (x_step, y_step) != (resolution_m, -resolution_m):
        raise InputError(f"{source}: pixels of {x_step:g} x {y_step:g} m, not {resolution_m} x -{resolution_m}")
    mean = root.find(".//Mean_Sun_Angle")
    seen = root.find(".//SENSING_TIME")
    return Tile(
        lines=int(lines),
        samples=int(samples),
        grid=Grid((west, x_step, 0.0, north, 0.0, y_step), _wkt(text_of(root, "HORIZONTAL_CS_CODE", source), source)),
        acquired=None if seen is None else _time(seen.text or "", source),
        sun_zenith_deg=None if mean is None else number_of(mean, "ZENITH_ANGLE", source),
        sun_azimuth_deg=None if mean is None else number_of(mean, "AZIMUTH_ANGLE", source),
        sun=_sun_grid(root, source),
    )


def _bands(root: Element, level: _Level, satellite: str, source: str) -> tuple[Band, ...]:
    """Every band that the metadata list, each in the file of its native resolution where there are several."""
    granules = [granule for name in ("Granule", "Granules") for granule in root.iter(name)]
    if len(granules) > 1:
        raise InputError(
            f"{source} lists {len(granules)} tiles, as products did before December 2016; download a newer form of it"
        )
    listed: dict[str, dict[int, str]] = {}
    for element in root.iter("IMAGE_FILE"):
        image = (element.text or "").strip()
        if found := _IMAGE.fullmatch(image):
            listed.setdefault(found[1], {})[int(found[2] or NATIVE_M[found[1]])] = image
    if len(listed) < 2:
        raise InputError(f"{source} lists the images of {len(listed)} bands (IMAGE_FILE); is it complete?")
    spectral, offsets = _spectral(root, source), _offsets(root, level, source)
    bands = []
    for name in sorted(listed, key=_NUMBERS.__getitem__):
        resolution_m = NATIVE_M[name] if NATIVE_M[name] in listed[name] else min(listed[name])
        centre_nm, fwhm_nm = spectral.get(name) or _nominal(name, satellite, source)
        if name not in offsets:
            raise InputError(f"{source} gives {level.offset} for other bands but not for {name}; is it complete?")
        bands.append(Band(name, listed[name][resolution_m], resolution_m, centre_nm, fwhm_nm, offsets[name]))
    return tuple(bands)


def _offsets(root: Element, level: _Level, source: str) -> Mapping[str, float]:
    """What is added to each band's numbers: 0 where no list says so, whatever the date and baseline."""
    listed = {element.get("band_id"): element for element in root.iter(level.offset)}
    if not listed:
        return dict.fromkeys(NATIVE_M, 0.0)
    return {
        name: number_of(listed[str(number)], level.offset, source)
        for name, number in _NUMBERS.items()
        if str(number) in listed
    }


def _spectral(root: Element, source: str) -> dict[str, tuple[float, float]]:
    """Centre and width, nm, of the bands whose spectral response the metadata hold."""
    bands = {}
    for element in root.iter("Spectral_Information"):
        if element.find(".//CENTRAL") is not None and element.find(".//VALUES") is not None:
            response = _numbers(text_of(element, "VALUES", source), source)
            step_nm = number_of(element, "STEP", source)
            if not (np.isfinite(response).all() and response.max() > 0 and step_nm > 0):
                raise InputError(f"{source}: a spectral response has no width; is it complete?")
            name = f"B{element.get('physicalBand', '')[1:]:0>2}"
            bands[name] = number_of(element, "CENTRAL", source), width_at_half(response) * step_nm
    return bands


def width_at_half(response: FloatArray) -> float:
    """Return a spectral response's full width at half maximum, in steps; the response (n,) is linear between them.

    >>> width_at_half(np.array([0.0, 1.0, 1.0, 0.0]))
    2.0
    """
    half = response.max() / 2
    above = np.flatnonzero(response >= half)
    first, last = int(above[0]), int(above[-1])
    before = 0.0 if first == 0 else (response[first] - half) / (response[first] - response[first - 1])
    after = 0.0 if last == len(response) - 1 else (response[last] - half) / (response[last] - response[last + 1])
    return float(last - first + before + after)


def _nominal(name: str, satellite: str, source: str) -> tuple[float, float]:
    sensor = known_sensor(satellite)
    if sensor is None or name not in sensor.by_name:
        raise InputError(f"{source} has no spectral response of {name} and {satellite} no nominal one; is it complete?")
    return sensor.by_name[name]


def _of_resolution(root: Element, name: str, resolution_m: int, source: str) -> Element:
    for element in root.iter(name):
        if element.get("resolution") == str(resolution_m):
            return element
    raise InputError(f"{source} has no {name} of resolution {resolution_m}; is it complete?")


def _sun_grid(root: Element, source: str) -> SunGrid | None:
    grid = root.find(".//Sun_Angles_Grid")
    if grid is None:
        return None
    parts = [grid.find(name) for name in ("Zenith", "Azimuth")]
    angles = []
    for part in parts:
        rows = [] if part is None else [_numbers(row.text or "", source) for row in part.iter("VALUES")]
        if len(rows) < 2 or len({len(row) for row in rows}) != 1 or len(rows[0]) < 2:
            raise InputError(f"{source}: the grid of the sun's angles is not complete; copy or download it again")
        angles.append(np.array(rows))
    steps = [number_of(grid, name, source) for name in ("ROW_STEP", "COL_STEP")]
    if angles[0].shape != angles[1].shape or min(steps) <= 0:
        raise InputError(f"{source}: the grids of the sun's zenith and azimuth do not fit together")
    return SunGrid(angles[0], angles[1], steps[0], steps[1])


def _between(nodes: FloatArray, place: NDArray[np.floating], axis: int) -> FloatArray:
    """Linear interpolation along one axis, at places counted in nodes."""
    first = np.clip(place.astype(np.intp), 0, nodes.shape[axis] - 2)
    shape = [1] * nodes.ndim
    shape[axis] = len(place)
    share = (place - first).reshape(shape)
    values: FloatArray = nodes.take(first, axis) * (1 - share) + nodes.take(first + 1, axis) * share
    return values


def _numbers(text: str, source: str) -> FloatArray:
    try:
        values = np.array(text.split(), np.float64)
    except ValueError:
        values = np.array([])
    if not values.size:
        raise InputError(f"{source}: {text[:40]!r} is not a list of numbers; copy or download it again")
    return values


def _time(text: str, source: str) -> datetime:
    try:
        time = datetime.fromisoformat(text.strip())
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        raise InputError(f"{source}: {text[:40]!r} is not a time") from None


def _wkt(code: str, source: str) -> str:
    from rasterio.crs import CRS

    if not _UTM.fullmatch(code.upper()):
        raise InputError(f"{source}: HORIZONTAL_CS_CODE is {code[:40]!r}; a UTM zone such as EPSG:32633 is needed")
    with readable(Path(source)):
        wkt: str = CRS.from_string(code).to_wkt()
    return wkt
