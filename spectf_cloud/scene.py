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

#: What both file formats write where nothing was measured.
NODATA = -9999.0

#: What tools leave outside a warped or cropped scene without a word of it in the file; the last two are the lowest
#: values of int16 and int32, which stay when whole numbers are written as wider ones or as floats.
_UNDECLARED_FILLS = (0.0, -50.0, NODATA, -(2.0**15), -(2.0**31))

# Far beyond any instrument; what a header says past these is a mistake or malice.
_MAX_BANDS = 2**14
_MAX_LINE_VALUES = 2**28
_MAX_PIXELS = 2**30


def missing(values: NDArray[np.floating], nodata: float) -> NDArray[np.bool_]:
    """Where values (any shape) are no measurement.

    −9999 is none in any scene, whatever the header declares as its own no-data value.
    """
    absent: NDArray[np.bool_] = ~np.isfinite(values)
    absent |= values == NODATA
    if nodata != NODATA:
        absent |= values == nodata
    return absent


@dataclass(frozen=True, eq=False)
class Location:
    """Where each pixel of the sensor grid lies, WGS 84.

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
        """Every file the cube is made of: none of them is ever written to."""
        return (self.path,)

    @property
    def tags(self) -> dict[str, str]:
        """What products say of how the numbers were read, beyond the file's own word."""
        return {}

    @abstractmethod
    def read(self, start: int, stop: int, bands: NDArray[np.intp] | None = None) -> NDArray[np.floating]:
        """Lines start to stop: (stop − start, samples, bands or chosen bands) in the file's units; floats."""

    def fill_spectra(self) -> NDArray[np.floating]:
        """(fills, bands): what pixels read as that hold one and the same undeclared fill value in every band.

        0, −50, −9999 and the lowest number of a signed type. Not the highest of an unsigned one: that is saturation.
        """
        with np.errstate(over="ignore"):  # the lowest float times a scale factor
            return self.as_read(np.repeat(fill_values(self.stored)[:, None], self.bands, axis=1))

    def as_read(self, stored: NDArray[np.generic]) -> NDArray[np.floating]:
        """Numbers (…, bands) as the file holds them, in the file's units; NaN may stand for no data."""
        values: NDArray[np.floating] = stored.astype(np.float64 if stored.dtype.itemsize > 4 else np.float32)
        return values

    def location(self) -> Location | None:
        """Longitude, latitude and elevation where the file carries them."""
        return None

    def glt(self) -> Glt | None:
        """The geographic look-up table where the file carries one."""
        return None

    def grid(self) -> Grid | None:
        """The georeference of the sensor grid where the file is orthorectified."""
        return None


def fill_values(stored: np.dtype[np.generic]) -> NDArray[np.generic]:
    """Values that in every band of a pixel mean no measurement, though no header says so: (fills,) of this dtype."""
    if stored.kind == "u":
        return np.array([0], stored)
    lowest = float(np.iinfo(str(stored)).min if stored.kind == "i" else np.finfo(str(stored)).min)
    inside = [value for value in _UNDECLARED_FILLS if value > lowest]
    return np.array([*inside, lowest], stored)


def step_of(stored: np.dtype[np.generic], gain: FloatArray | None) -> float | None:
    """The least difference of two values of whole numbers with one factor for all bands; None of all others."""
    if stored.kind not in "iu" or gain is None or (gain != gain[0]).any():
        return None
    return abs(float(gain[0]))


def check_size(path: Path, lines: int, samples: int, bands: int) -> None:
    """Refuse sizes that no scene has, before anything of that size is made. Raises `InputError`."""
    if min(lines, samples, bands) < 1:
        raise InputError(f"{path} is empty: {lines} lines x {samples} samples x {bands} bands")
    if bands > _MAX_BANDS or samples * bands > _MAX_LINE_VALUES or lines * samples > _MAX_PIXELS:
        numbers = " x ".join(f"{size:.3g}" if size < 1e300 else "immense" for size in (lines, samples, bands))
        raise InputError(f"{path}: lines x samples x bands of {numbers} are no scene; is the file damaged?")


@dataclass(frozen=True, eq=False)
class Scene:
    """Radiance with the geometry it was seen under, or reflectance. Nothing is read before it is asked for.

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
        """The same as `image`: its name from when every scene was radiance."""
        return self.image

    @property
    def quantity(self) -> Quantity:
        """What the numbers of `image` are."""
        return self.image.quantity

    @property
    def lines(self) -> int:
        """Number of down-track lines."""
        return self.image.lines

    @property
    def samples(self) -> int:
        """Number of cross-track samples."""
        return self.image.samples

    @property
    def simulated(self) -> bool:
        """Whether its numbers were computed rather than measured, as the file says."""
        return self.image.simulated

    @property
    def facts(self) -> Facts | None:
        """What the product says of itself beyond its pixels; None where it is not one that does."""
        return self.image.facts

    @property
    def cubes(self) -> tuple[Cube, ...]:
        """The image, and the observation geometry where there is one."""
        return (self.image,) if self.observation is None else (self.image, self.observation)

    @property
    def tags(self) -> dict[str, str]:
        """What products say of the scene's files."""
        tags = {"SPECTF_RADIANCE": self.image.path.name, **self.image.tags}
        if self.quantity != "radiance":
            tags["SPECTF_QUANTITY"] = self.quantity
        if self.observation is not None:
            tags["SPECTF_OBSERVATION"] = self.observation.path.name
        return tags

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file the scene is made of."""
        return tuple(file for cube in self.cubes for file in cube.files)

    def blocks(self, lines: int) -> Iterator[tuple[int, int]]:
        """(start, stop) of successive blocks of at most ``lines`` lines."""
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
        """(stop − start, samples) float64 degrees; NaN where geometry is missing or the sun is down."""
        zenith_deg, distance_au = self._read_sun(start, stop)
        return np.where(np.isnan(distance_au), np.nan, zenith_deg)

    @cached_property
    def earth_sun_au(self) -> float:
        """Mean Earth–Sun distance over the pixels that have geometry, AU; NaN when none has."""
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
        """Zenith angle of the sun, degrees, and its distance, AU, each (stop − start, samples) and NaN without data.

        A distance that is not above zero is none: tools fill every band with 0 where a look-up table is empty.
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
        """Where the pixels lie, from whichever file knows."""
        return next((place for cube in self.cubes if (place := cube.location())), None)

    def glt(self) -> Glt | None:
        """The orthorectification table, from whichever file carries it."""
        return next((table for cube in self.cubes if (table := cube.glt())), None)

    def grid(self) -> Grid | None:
        """The georeference of the sensor grid, for orthorectified deliveries."""
        return self.image.grid()
