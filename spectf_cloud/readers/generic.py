"""Any raster as reflectance: its bands by the file or a named sensor, its scale by the file, the user or its values."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.errors import InputError, UsageError
from spectf_cloud.readers.acquisition import acquired
from spectf_cloud.readers.band_matching import bands_of
from spectf_cloud.readers.envi import EnviCube
from spectf_cloud.readers.places import Place
from spectf_cloud.readers.raster import RasterCube
from spectf_cloud.readers.reflectance_scale import infer_scale, is_unscaled, told_quantity
from spectf_cloud.readers.xarray_cube import XarrayCube
from spectf_cloud.scene import Cube, Facts, Glt, Grid, Location, Quantity, Scene, missing
from spectf_cloud.sensor import Sensor

Positions = NDArray[np.intp]

_COUNTS = 1e-4
_SENTINEL2_OFFSET = (
    "Sentinel-2 numbers since January 2022 may carry an offset of 1000, which makes reflectance 0.1 too high: open the "
    "product itself, or note it in the file: gdal_edit.py -a_scale 0.0001 -a_offset -0.1 FILE"
)
_TEXTS = ("units", "unit", "quantity", "description", "data units", "radiance units", "long_name", "standard_name")


@dataclass(frozen=True, eq=False, kw_only=True)
class ReflectanceCube(Cube):
    """Some bands of another cube times a factor.

    source, positions
        The other cube, and which of its bands: (bands,).
    factor
        What makes reflectance of the numbers that it reads.
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
        """(stop − start, samples, bands or chosen bands) reflectance; NaN for no data."""
        with self.place.readable():
            values = self.source.read(start, stop, self.positions if bands is None else self.positions[bands])
        return self._scaled(values)

    def fill_spectra(self) -> NDArray[np.floating]:
        """(fills, bands): those of the other cube, as reflectance."""
        return self._scaled(self.source.fill_spectra()[:, self.positions])

    def as_read(self, stored: NDArray[np.generic]) -> NDArray[np.floating]:
        """Numbers (…, bands) as the file holds them, as reflectance; NaN for no data."""
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


def reflectance_scene(
    source: Cube,
    place: Place,
    sensor: Sensor | None = None,
    *,
    quantity: str | None = None,
    scale: float | None = None,
    resolution_m: float | None = None,
) -> Scene:
    """Return the scene of a raster that is no known product; see `spectf_cloud.open_raster`.

    Raises `InputError` where bands, quantity or scale cannot be known, `UsageError` where what is said cannot be meant.
    """
    _check_resolution(source, resolution_m)
    held, told = _quantity(source, quantity)
    found, positions, notes = bands_of(source, sensor)
    factor, how = _factor(source, positions, scale, place)
    if factor == _COUNTS and found.name.startswith("SENTINEL2"):
        how.append(_SENTINEL2_OFFSET)
    seen = acquired(source.name)
    cube = ReflectanceCube(
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
            acquired=None if seen is None else seen.time,
            notes=tuple(f"{place.address or source.path}: {note}" for note in (*how, *told, *notes)),
        ),
        source=source,
        positions=positions,
        factor=factor,
        inferred=scale is None,
        place=place,
    )
    return Scene.of_reflectance(cube)


def _check_resolution(cube: Cube, resolution_m: float | None) -> None:
    grid = cube.grid()
    if resolution_m is not None and (grid is None or not math.isclose(abs(grid.geotransform[1]), resolution_m)):
        raise UsageError(
            f"{cube.path} is read at the size of its own pixels; leave the resolution of {resolution_m:g} m out"
        )


def _product(cube: Cube) -> str:
    return {RasterCube: "GeoTIFF", EnviCube: "ENVI raster", XarrayCube: "xarray array"}.get(type(cube), "raster")


def _quantity(cube: Cube, given: str | None) -> tuple[Quantity, list[str]]:
    """Which quantity the numbers are: as given, as the file says, else top-of-atmosphere reflectance, with a note."""
    known: tuple[Quantity, ...] = get_args(Quantity)
    if given is not None and given not in known:
        raise UsageError(f"{given!r} is not a quantity; give one of {', '.join(known)}")
    quantity = next((each for each in known if each == given), None) or told_quantity(_texts(cube))
    if quantity == "radiance":
        raise InputError(
            f"{cube.path} holds radiance{'' if given else ', as it says itself'}: the sun's place is needed to make "
            "reflectance of it; give it with its OBS file (deploy-pt OUT OBS RDN, open_scene), or convert it"
        )
    if quantity == "surface_reflectance":
        return quantity, ["surface reflectance: the networks learnt top-of-atmosphere reflectance"]
    if quantity is None:
        note = (
            "taken for top-of-atmosphere reflectance, as the file does not say; --quantity surface_reflectance if not"
        )
        return "toa_reflectance", [note]
    return quantity, []


def _texts(cube: Cube) -> Iterator[str]:
    """Yield what the file says of its numbers."""
    if isinstance(cube, XarrayCube):
        yield from (str(cube.attributes.get(key, "")) for key in _TEXTS)
    header = cube.header if isinstance(cube, (EnviCube, RasterCube)) else None
    if header is not None:
        yield from (header.fields.get(key, "") for key in _TEXTS)
    if isinstance(cube, RasterCube):
        yield from (unit for unit in cube.raster.units if unit)
        tags = {key.lower(): text for key, text in cube.raster.tags().items()}
        yield from (tags.get(key, "") for key in (*_TEXTS, "tifftag_imagedescription"))


def _factor(cube: Cube, bands: Positions, scale: float | None, place: Place) -> tuple[float, list[str]]:
    """What makes reflectance of the numbers as they are read, and a note of how that is known."""
    if scale is None:
        with place.readable():
            factor, words = infer_scale(cube, bands)
        return factor, [f"{words}; --scale says otherwise"]
    if not (math.isfinite(scale) and scale > 0):
        raise UsageError(f"a scale of {scale:g} makes no reflectance; give a number above 0, such as 0.0001")
    if not is_unscaled(cube):
        raise UsageError(
            f"{cube.path} has a scale of its own, which is applied; leave the other out, or change the file's: "
            "gdal_edit.py -a_scale 1 -a_offset 0 FILE"
        )
    return scale, []
