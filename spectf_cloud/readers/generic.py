"""Any raster as a scene: its bands by the file or a named sensor, its scale by the file, the user or its values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.errors import InputError, UsageError
from spectf_cloud.readers.band_matching import bands_of
from spectf_cloud.readers.envi import EnviCube
from spectf_cloud.readers.places import Place
from spectf_cloud.readers.raster import RasterCube, readable
from spectf_cloud.readers.raster_words import (
    radiance_factor,
    told_quantity,
    told_sun_deg,
    told_time,
    told_units,
    words_of,
)
from spectf_cloud.readers.reflectance_scale import infer_scale, is_unscaled
from spectf_cloud.readers.sun_cube import SUN_BANDS, sun_cube
from spectf_cloud.readers.xarray_cube import XarrayCube
from spectf_cloud.scene import Cube, Facts, Glt, Grid, Location, Quantity, Scene, missing
from spectf_cloud.sensor import Sensor

Positions = NDArray[np.intp]

_COUNTS = 1e-4
_SENTINEL2_OFFSET = (
    "Sentinel-2 numbers since January 2022 may carry an offset of 1000, which makes reflectance 0.1 too high: open the "
    "product itself, or note it in the file: gdal_edit.py -a_scale 0.0001 -a_offset -0.1 FILE"
)
_ASSUMED = "taken for top-of-atmosphere reflectance, as the file does not say; --quantity surface_reflectance if not"
_SURFACE = "surface reflectance: the networks learnt top-of-atmosphere reflectance"


@dataclass(frozen=True, eq=False, kw_only=True)
class ScaledCube(Cube):
    """Some bands of another cube times a factor.

    source, positions
        The other cube, and which of its bands: (bands,).
    factor
        What makes reflectance, or radiance in uW cm-2 sr-1 nm-1, of the numbers that it reads.
    place
        Where it is; keeps what was unpacked of an archive.
    """

    source: Cube
    positions: Positions
    factor: float
    place: Place
    inferred: bool

    @property
    def files(self) -> tuple[Path, ...]:
        """Those of the other cube."""
        return self.source.files

    @property
    def tags(self) -> dict[str, str]:
        """The factor, and how it was found."""
        if self.inferred:
            return {"SPECTF_SCALE": f"{self.factor:g}", "SPECTF_SCALE_FROM": "99th percentile of the values"}
        return {"SPECTF_SCALE": f"{self.factor:g}", "SPECTF_SCALE_FROM": "given"}

    def read(self, start: int, stop: int, bands: NDArray[np.intp] | None = None) -> NDArray[np.floating]:
        """(stop − start, samples, bands or chosen bands) in the units of `quantity`; NaN for no data."""
        chosen = self.positions if bands is None else self.positions[bands]
        every = np.array_equal(chosen, np.arange(self.source.bands))  # read faster where they need no choice
        with self.place.readable():
            values = self.source.read(start, stop, None if every else chosen)
        return self._scaled(values)

    def fill_spectra(self) -> NDArray[np.floating]:
        """(fills, bands): those of the other cube, scaled."""
        return self._scaled(self.source.fill_spectra()[:, self.positions])

    def as_read(self, stored: NDArray[np.generic]) -> NDArray[np.floating]:
        """Numbers (…, bands) as the file holds them, scaled; NaN for no data."""
        whole = np.zeros((*stored.shape[:-1], self.source.bands), stored.dtype)
        whole[..., self.positions] = stored
        return self._scaled(self.source.as_read(whole)[..., self.positions])

    def _scaled(self, values: NDArray[np.floating]) -> NDArray[np.floating]:
        absent = missing(values, self.source.nodata)
        with np.errstate(over="ignore"):  # the lowest float times a factor
            values = values * values.dtype.type(self.factor)
        values[absent] = np.nan
        return values

    def grid(self) -> Grid | None:
        """The georeference of the other cube."""
        return self.source.grid()

    def location(self) -> Location | None:
        """Longitude, latitude and elevation of the other cube."""
        return self.source.location()

    def glt(self) -> Glt | None:
        """The look-up table of the other cube."""
        return self.source.glt()


@dataclass(frozen=True)
class Said:
    """What a user says of a raster; None where the file or its values are to tell.

    quantity, scale, resolution_m
        As for `spectf_cloud.open_raster`.
    units
        Of radiance.
    sun_zenith_deg, day
        The sun's zenith angle and the day of the radiance.
    """

    quantity: str | None = None
    scale: float | None = None
    resolution_m: float | None = None
    units: str | None = None
    sun_zenith_deg: float | None = None
    day: date | None = None


def raster_scene(source: Cube, place: Place, sensor: Sensor | None, said: Said) -> Scene:
    """Return the scene of a raster that is no known product; see `spectf_cloud.open_raster`.

    Raises `InputError` where bands, quantity or scale cannot be known, `UsageError` where what is said cannot be meant.
    """
    _check_resolution(source, said.resolution_m)
    with place.readable(), readable(source.path):
        words = words_of(source)
        found, positions, notes = bands_of(source, sensor)
    held, told = _quantity(words, said.quantity)
    time, (zenith_deg, azimuth_deg) = told_time(source, words), told_sun_deg(words)
    sun = None
    if held == "radiance":
        seen = said.day or (time.date() if time else None)
        sun = sun_cube(source, zenith_deg if said.sun_zenith_deg is None else said.sun_zenith_deg, seen)
        factor, how = _radiance_factor(source, said, words)
    else:
        factor, how = _factor(source, positions, said.scale, place)
        if factor == _COUNTS and found.name.startswith("SENTINEL2"):
            how.append(_SENTINEL2_OFFSET)
    cube = ScaledCube(
        path=source.path,
        name=source.name,
        lines=source.lines,
        samples=source.samples,
        bands=found.bands,
        band_names=tuple(source.band_names[band] for band in positions) if source.band_names else (),
        sensor=found,
        quantity=held,
        lines_per_chunk=source.lines_per_chunk,
        stored=source.stored,
        marked_bad=tuple(np.flatnonzero(np.isin(positions, source.marked_bad)).tolist()),
        simulated=source.simulated,
        facts=Facts(
            product=_product(source),
            level=held.replace("_", " "),
            acquired=time,
            sun_zenith_deg=zenith_deg,
            sun_azimuth_deg=azimuth_deg,
            notes=tuple(f"{place.address or source.path}: {note}" for note in (*how, *told, *notes)),
        ),
        source=source,
        positions=positions,
        factor=factor,
        inferred=said.scale is None and held != "radiance",
        place=place,
    )
    return Scene(cube.name, found, cube, sun, *SUN_BANDS) if sun else Scene.of_reflectance(cube)


def _check_resolution(cube: Cube, resolution_m: float | None) -> None:
    grid = cube.grid()
    if resolution_m is not None and (grid is None or not math.isclose(abs(grid.geotransform[1]), resolution_m)):
        raise UsageError(
            f"{cube.path} is read at the size of its own pixels; leave the resolution of {resolution_m:g} m out"
        )


def _product(cube: Cube) -> str:
    return {RasterCube: "GeoTIFF", EnviCube: "ENVI raster", XarrayCube: "xarray array"}.get(type(cube), "raster")


def _quantity(words: Mapping[str, str], given: str | None) -> tuple[Quantity, list[str]]:
    """Which quantity the numbers are: as given, as the file says, else top-of-atmosphere reflectance, with a note."""
    known: tuple[Quantity, ...] = get_args(Quantity)
    if given is not None and given not in known:
        raise UsageError(f"{given!r} is not a quantity; give one of {', '.join(known)}")
    quantity = next((each for each in known if each == given), None) or told_quantity(words)
    if quantity is None:
        return "toa_reflectance", [_ASSUMED]
    return quantity, [_SURFACE] if quantity == "surface_reflectance" else []


def _radiance_factor(cube: Cube, said: Said, words: Mapping[str, str]) -> tuple[float, list[str]]:
    """What makes uW cm-2 sr-1 nm-1 of the numbers, and a note of the units."""
    units = said.units or told_units(words)
    factor = None if units is None else radiance_factor(units)
    if units is None or factor is None:
        held = f"{units!r}, which is not understood" if units else "units that it does not say"
        raise InputError(
            f"{cube.path} holds radiance in {held}; give them, such as units='W m-2 sr-1 um-1' (open_raster)"
        )
    return factor * _scale(cube, said.scale), [f"radiance in {units}"]


def _factor(cube: Cube, bands: Positions, scale: float | None, place: Place) -> tuple[float, list[str]]:
    """What makes reflectance of the numbers as they are read, and a note of how that is known."""
    if scale is None:
        with place.readable():
            factor, words = infer_scale(cube, bands)
        return factor, [f"{words}; --scale says otherwise"]
    return _scale(cube, scale), []


def _scale(cube: Cube, scale: float | None) -> float:
    """The scale that is given, checked; 1 without one."""
    if scale is None:
        return 1.0
    if not (math.isfinite(scale) and scale > 0):
        raise UsageError(f"a scale of {scale:g} makes no sense; give a number above 0, such as 0.0001")
    if not is_unscaled(cube):
        raise UsageError(
            f"{cube.path} has a scale of its own, which is applied; leave the other out, or change the file's: "
            "gdal_edit.py -a_scale 1 -a_offset 0 FILE"
        )
    return scale
