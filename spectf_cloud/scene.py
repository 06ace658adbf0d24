"""A scene: radiance with the geometry it was seen under, or reflectance, read lazily on one sensor grid."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.errors import InputError
from spectf_cloud.sensor import Sensor

FloatArray = NDArray[np.float64]

#: What a cube's numbers are: radiance in uW cm-2 sr-1 nm-1, or reflectance without a unit, 0 to about 1.
Quantity = Literal["radiance", "toa_reflectance", "surface_reflectance"]

#: The no-data value of both file formats.
NODATA = -9999.0

#: What tools leave outside a warped or cropped scene without declaring it in the file. The last two are the lowest
#: values of int16 and int32, which remain when whole numbers are written as wider ones or as floats.
_UNDECLARED_FILLS = (0.0, -50.0, NODATA, -(2.0**15), -(2.0**31))

# Far beyond any instrument: a header that says more is wrong or hostile.
_MAX_BANDS = 2**14
_MAX_LINE_VALUES = 2**28
_MAX_PIXELS = 2**30


def missing(values: NDArray[np.floating], nodata: float) -> NDArray[np.bool_]:
    """Return where values (any shape) are missing: not finite, ``nodata``, or −9999 as in every scene.

    >>> missing(np.array([0.2, np.nan, -9999.0, 0.0]), nodata=0.0)
    array([False,  True,  True,  True])
    """
    absent: NDArray[np.bool_] = ~np.isfinite(values)
    absent |= values == NODATA
    if nodata != NODATA:
        absent |= values == nodata
    return absent


@dataclass(frozen=True, eq=False)
class Location:
    """Position of each pixel of the sensor grid, WGS 84.

    lon_deg, lat_deg, elevation_m: (lines, samples) float64, −9999 where unknown.
    """

    lon_deg: FloatArray
    lat_deg: FloatArray
    elevation_m: FloatArray


@dataclass(frozen=True, eq=False)
class Glt:
    """Geographic look-up table: which sensor pixel fills each pixel of the orthorectified grid.

    line, sample
        (ortho_lines, ortho_samples) int32, zero-based; −1 where nothing was seen.
    geotransform
        GDAL order, of the ortho grid's outer corner.
    crs_wkt
        Its coordinate reference system.
    """

    line: NDArray[np.int32]
    sample: NDArray[np.int32]
    geotransform: tuple[float, float, float, float, float, float]
    crs_wkt: str


@dataclass(frozen=True)
class Grid:
    """Georeference of the sensor grid itself, for scenes delivered orthorectified."""

    geotransform: tuple[float, float, float, float, float, float]
    crs_wkt: str


@dataclass(frozen=True)
class Facts:
    """What a product says of itself beyond its pixels; None where it does not say.

    product, level
        What it is called and how far it was processed, in the agency's words.
    acquired
        When the scene was seen, UTC.
    sun_zenith_deg, sun_azimuth_deg
        Where the sun stood, the mean over the scene; the azimuth clockwise from north.
    notes
        Lines that a user should read.
    """

    product: str
    level: str
    acquired: datetime | None = None
    sun_zenith_deg: float | None = None
    sun_azimuth_deg: float | None = None
    satellite: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False, kw_only=True)
class Cube(ABC):
    """One open file of (lines, samples, bands), read by lines; each reader module provides one.

    `sensor` is None where the file names no band centres. `quantity` is what `read` returns of one that has a sensor:
    the reader has applied scale and offset. `lines_per_chunk` is how many lines the file
    stores together: reading fewer costs as much. `stored` is the dtype of the numbers in the file. `marked_bad` are
    positions of the bands that the file itself calls bad. `simulated` is true where it says that nothing was measured.
    `step` is the least difference of two values that one factor left when they were packed into whole numbers;
    `counted` is true where the factor may as well be the instrument's own. `facts` is what a product says of itself.
    """

    path: Path
    name: str
    lines: int
    samples: int
    bands: int
    nodata: float = NODATA
    band_names: tuple[str, ...] = ()
    sensor: Sensor | None = None
    quantity: Quantity = "radiance"
    lines_per_chunk: int = 1
    stored: np.dtype[np.generic] = field(default=np.dtype(np.float32))
    marked_bad: tuple[int, ...] = ()
    simulated: bool = False
    step: float | None = None
    counted: bool = False
    facts: Facts | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """Return every file the cube is made of; none of them is ever written to."""
        return (self.path,)

    @property
    def tags(self) -> dict[str, str]:
        """What products say of how the numbers were read, beyond the file's own word."""
        return {}

    @abstractmethod
    def read(self, start: int, stop: int, bands: NDArray[np.intp] | None = None) -> NDArray[np.floating]:
        """Read lines start to stop: (stop − start, samples, bands or chosen bands) in the file's units; floats."""

    def fill_spectra(self) -> NDArray[np.floating]:
        """Return (fills, bands): what pixels read as that hold the same undeclared fill value in every band.

        0, −50, −9999 and the lowest number of a signed type. Not the highest of an unsigned one: that is saturation.
        """
        with np.errstate(over="ignore"):  # the lowest float times a scale factor
            return self.as_read(np.repeat(fill_values(self.stored)[:, None], self.bands, axis=1))

    def as_read(self, stored: NDArray[np.generic]) -> NDArray[np.floating]:
        """Return numbers (…, bands) as stored, in the file's units; NaN may stand for no data."""
        values: NDArray[np.floating] = stored.astype(np.float64 if stored.dtype.itemsize > 4 else np.float32)
        return values

    def location(self) -> Location | None:
        """Return longitude, latitude and elevation, or None where the file has none."""
        return None

    def glt(self) -> Glt | None:
        """Return the geographic look-up table, or None where the file has none."""
        return None

    def grid(self) -> Grid | None:
        """Return the georeference of the sensor grid, or None where the file is not orthorectified."""
        return None


def fill_values(stored: np.dtype[np.generic]) -> NDArray[np.generic]:
    """Return the values (fills,) of this dtype that mean no data when every band of a pixel holds them, undeclared.

    >>> fill_values(np.dtype(np.uint16))
    array([0], dtype=uint16)
    """
    if stored.kind == "u":
        return np.array([0], stored)
    lowest = float(np.iinfo(str(stored)).min if stored.kind == "i" else np.finfo(str(stored)).min)
    inside = [value for value in _UNDECLARED_FILLS if value > lowest]
    return np.array([*inside, lowest], stored)


def step_of(stored: np.dtype[np.generic], gain: FloatArray | None) -> float | None:
    """Return the least difference of two values packed in whole numbers by one factor for all bands; else None."""
    if stored.kind not in "iu" or gain is None or (gain != gain[0]).any():
        return None
    return abs(float(gain[0]))


def check_size(path: Path, lines: int, samples: int, bands: int) -> None:
    """Refuse sizes that no scene has, before anything of that size is allocated. Raises `InputError`."""
    if min(lines, samples, bands) < 1:
        raise InputError(f"{path} is empty: {lines} lines x {samples} samples x {bands} bands")
    if bands > _MAX_BANDS or samples * bands > _MAX_LINE_VALUES or lines * samples > _MAX_PIXELS:
        numbers = " x ".join(f"{size:.3g}" if size < 1e300 else "immense" for size in (lines, samples, bands))
        raise InputError(
            f"{path}: {numbers} (lines x samples x bands) is not the size of a scene; is the file damaged?"
        )


@dataclass(frozen=True, eq=False)
class Scene:
    """Radiance with the geometry it was seen under, or reflectance. Pixels are read on demand.

    Build one with `spectf_cloud.open_scene`, or of a cube of reflectance with `of_reflectance`. `observation` may be
    None only for reflectance, which needs no geometry.
    """

    name: str
    sensor: Sensor
    image: Cube
    observation: Cube | None = None
    sun_zenith_band: int = 0
    earth_sun_band: int = 0

    def __post_init__(self) -> None:
        if self.quantity == "radiance" and self.observation is None:
            raise InputError(f"{self.image.path}: radiance needs its observation geometry (OBS); name the OBS file")

    @classmethod
    def of_reflectance(cls, cube: Cube, name: str | None = None) -> Scene:
        """Return the scene of a cube that holds reflectance. Raises `InputError` where it does not say so."""
        if cube.quantity == "radiance":
            raise InputError(f"{cube.path} holds radiance, not reflectance; open it with its OBS file")
        if cube.sensor is None:
            raise InputError(f"{cube.path} has no band centres; reflectance with wavelengths is needed")
        return cls(name or cube.name, cube.sensor, cube)

    def __repr__(self) -> str:
        return f"Scene({self.name!r}, {self.lines} lines, {self.samples} samples, {self.sensor!r})"

    @property
    def radiance(self) -> Cube:
        """Return `image`, by its name from when every scene was radiance."""
        return self.image

    @property
    def quantity(self) -> Quantity:
        """Return what the numbers of `image` are."""
        return self.image.quantity

    @property
    def lines(self) -> int:
        """Return the number of down-track lines."""
        return self.image.lines

    @property
    def samples(self) -> int:
        """Return the number of cross-track samples."""
        return self.image.samples

    @property
    def simulated(self) -> bool:
        """Return whether the file says that its numbers were computed, not measured."""
        return self.image.simulated

    @property
    def facts(self) -> Facts | None:
        """What the product says of itself beyond its pixels; None where it is not one that does."""
        return self.image.facts

    @property
    def cubes(self) -> tuple[Cube, ...]:
        """Return the image, and the observation geometry where there is one."""
        return (self.image,) if self.observation is None else (self.image, self.observation)

    @property
    def tags(self) -> dict[str, str]:
        """Return the tags by which products name the scene's files."""
        tags = {"SPECTF_RADIANCE": self.image.path.name, **self.image.tags}
        if self.quantity != "radiance":
            tags["SPECTF_QUANTITY"] = self.quantity
        if self.observation is not None:
            tags["SPECTF_OBSERVATION"] = self.observation.path.name
        return tags

    @property
    def files(self) -> tuple[Path, ...]:
        """Return every file the scene is made of."""
        return tuple(file for cube in self.cubes for file in cube.files)

    def blocks(self, lines: int) -> Iterator[tuple[int, int]]:
        """Yield (start, stop) of successive blocks of at most ``lines`` lines."""
        for start in range(0, self.lines, lines):
            yield start, min(start + lines, self.lines)

    def read_radiance(self, start: int, stop: int) -> NDArray[np.floating]:
        """Read (stop − start, samples, bands) uW cm-2 sr-1 nm-1; no data as `image.nodata` or NaN.

        Raises `InputError` where the scene holds reflectance.
        """
        if self.quantity != "radiance":
            raise InputError(f"{self.image.path} holds reflectance, not radiance; read it with image.read")
        return self.image.read(start, stop)

    def read_incidence_deg(self, start: int, stop: int) -> FloatArray:
        """Read the angle by whose cosine the image must still be divided: (stop − start, samples) float64 degrees.

        The sun's zenith angle for radiance, NaN as in `read_sun_zenith_deg`; 0 for reflectance.
        """
        if self.quantity == "radiance":
            return self.read_sun_zenith_deg(start, stop)
        return np.zeros((stop - start, self.samples))

    def read_sun_zenith_deg(self, start: int, stop: int) -> FloatArray:
        """Read (stop − start, samples) float64 degrees; NaN where geometry is missing or the sun is down."""
        zenith_deg, distance_au = self._read_sun(start, stop)
        return np.where(np.isnan(distance_au), np.nan, zenith_deg)

    @cached_property
    def earth_sun_au(self) -> float:
        """Return the mean Earth–Sun distance over the pixels that have geometry, AU; NaN when none has."""
        if self.observation is None:
            return float("nan")
        total, count, without = 0.0, 0, 0
        for start, stop in self.blocks(max(256, self.observation.lines_per_chunk)):
            zenith_deg, distance_au = self._read_sun(start, stop)
            good = ~np.isnan(distance_au)
            total += float(distance_au[good].sum(dtype=np.float64))
            count += int(good.sum())
            without += int((~good & (zenith_deg > 0)).sum())
        mean_au = total / count if count else 0.0 if without else float("nan")
        if (count or without) and not 0.9 < mean_au < 1.1:
            raise InputError(
                f"{self.observation.path}: the mean Earth–Sun distance is {mean_au:g}, not close to 1 AU; "
                "is this the OBS file of the scene?"
            )
        return mean_au

    def _read_sun(self, start: int, stop: int) -> tuple[FloatArray, NDArray[np.floating]]:
        """Read the sun's zenith angle, degrees, and distance, AU, each (stop − start, samples) and NaN without data.

        A distance of 0 is missing: tools fill every band with 0 where a look-up table is empty.
        """
        if self.observation is None:
            nothing = np.full((stop - start, self.samples), np.nan)
            return nothing, nothing
        geometry = self.observation.read(start, stop, np.array([self.sun_zenith_band, self.earth_sun_band]))
        with np.errstate(invalid="ignore"):
            usable = ~missing(geometry, self.observation.nodata)
            usable[..., 0] &= (geometry[..., 0] >= 0) & (geometry[..., 0] < 90)
            usable[..., 1] &= geometry[..., 1] > 0
        zenith, distance = (np.where(usable[..., i], geometry[..., i], np.nan) for i in (0, 1))
        return zenith.astype(np.float64), distance

    def location(self) -> Location | None:
        """Return the positions of the pixels, from the first file that has them."""
        return next((place for cube in self.cubes if (place := cube.location())), None)

    def glt(self) -> Glt | None:
        """Return the look-up table, from the first file that has one."""
        return next((table for cube in self.cubes if (table := cube.glt())), None)

    def grid(self) -> Grid | None:
        """Return the georeference of the sensor grid of an orthorectified scene, else None."""
        return self.image.grid()
