"""Bands of one product on one grid, each in a TIFF of its own or several in one, read together as reflectance."""

from __future__ import annotations

import math
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.errors import InputError, UsageError
from spectf_cloud.files.resources import PUBLISHED, irradiance_file
from spectf_cloud.readers.delivery import Delivery, open_delivery
from spectf_cloud.readers.irradiance import read_irradiance
from spectf_cloud.readers.map_info import grid_of
from spectf_cloud.readers.raster import check_pieces, readable
from spectf_cloud.scene import Cube, Facts, Grid, Quantity, check_size
from spectf_cloud.sensor import Sensor
from spectf_cloud.toa import reflectance_per_radiance, resample_irradiance

FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]

#: What to say of a cube of surface reflectance.
SURFACE_NOTE = "surface reflectance: the network learnt top-of-atmosphere reflectance"
#: W m-2 sr-1 um-1, as Landsat and Planet give radiance, in uW cm-2 sr-1 nm-1.
_PER_SI_RADIANCE = 0.1
#: What GDAL may keep of what it unpacked; by itself it takes a share of the machine.
_CACHE_MIB = 256
#: No factor is larger that makes reflectance of whole numbers, with the sun just above the horizon.
_MAX_FACTOR = 1e6


@dataclass(frozen=True)
class Band:
    """Where one band is, and what makes reflectance of its numbers: ``gain * stored + bias``.

    file
        Its name within the delivery; `index` counts the bands of that file from 1.
    """

    name: str
    file: str
    centre_nm: float
    fwhm_nm: float
    gain: float
    bias: float = 0.0
    index: int = 1


@dataclass(frozen=True, eq=False, kw_only=True)
class StackCube(Cube):
    """A cube over several open TIFFs of one size and place.

    sources
        Its bands, in the order of wavelength.
    rasters
        Open TIFFs by their names within the delivery.
    absent
        Numbers that mean no data, as they are stored: (bands, values) float64, NaN where there is none.
    metadata
        Names of the files within the delivery that say how to read it.
    sun
        Name of a raster of the sun's zenith angle in hundredths of a degree, 0 for no data: the cosine of it still
        divides what `sources` make of the numbers. None where it does not.
    """

    delivery: Delivery
    sources: tuple[Band, ...]
    rasters: dict[str, Any]
    absent: FloatArray
    metadata: tuple[str, ...]
    sun: str | None
    place: Grid | None
    # GDAL's datasets must not be used by two threads at once.
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def files(self) -> tuple[Path, ...]:
        """The TIFFs and the metadata, or the archive that holds them."""
        return tuple(dict.fromkeys(on_disk(self.delivery, name) for name in (*self.metadata, *self.rasters)))

    def read(self, start: int, stop: int, bands: NDArray[np.intp] | None = None) -> Float32Array:
        """(stop − start, samples, bands or chosen bands) reflectance; NaN for no data, and where the sun is down."""
        chosen = np.arange(self.bands) if bands is None else bands
        stored = np.empty((stop - start, self.samples, len(chosen)), self.stored)
        for place, band in enumerate(chosen.tolist()):
            stored[..., place] = self._window(self.sources[band].file, self.sources[band].index, start, stop)
        values = self.as_read(stored, chosen)
        if self.sun is not None:
            zenith = self._window(self.sun, 1, start, stop)
            cosine = np.cos(np.deg2rad(zenith / 100.0))
            cosine[(zenith <= 0) | (cosine <= 0)] = np.nan
            values *= (1 / cosine[..., None]).astype(np.float32)
        return values

    def as_read(self, stored: NDArray[np.generic], bands: NDArray[np.intp] | None = None) -> Float32Array:
        """Numbers (…, bands or chosen bands) as the files hold them, scaled; NaN for no data."""
        chosen = self.sources if bands is None else [self.sources[band] for band in bands]
        absent = self.absent if bands is None else self.absent[bands]
        values = stored.astype(np.float32)
        values *= np.array([band.gain for band in chosen], np.float32)
        values += np.array([band.bias for band in chosen], np.float32)
        for nodata in absent.T:
            if not np.isnan(nodata).all():
                values[stored == nodata] = np.nan
        return values

    def grid(self) -> Grid | None:
        """Return the georeference that all TIFFs share."""
        return self.place

    def _window(self, name: str, index: int, start: int, stop: int) -> NDArray[Any]:
        from rasterio.windows import Window

        window = Window(0, start, self.samples, stop - start)
        with self.lock, _readable(self.delivery, name):
            stored: NDArray[Any] = self.rasters[name].read(index, window=window)
        return stored


def open_stack(
    delivery: Delivery,
    bands: Sequence[Band],
    *,
    name: str,
    sensor: str,
    dtypes: Sequence[str],
    fill: float,
    quantity: Quantity,
    facts: Facts,
    metadata: Sequence[str] = (),
    sun: str | None = None,
) -> StackCube:
    """Open the bands of a product, in the order of wavelength, without reading their pixels.

    name, sensor
        What to call the product and whoever saw it.
    dtypes
        What its numbers may be stored as.
    fill
        Its no-data value; what a TIFF itself declares is none either.
    metadata, sun
        See `StackCube`.

    Raises `InputError` where a file is missing, damaged, of another type, size or place than the first.
    """
    sources = tuple(sorted(bands, key=lambda band: band.centre_nm))
    rasters = {file: open_tiff(delivery, file) for file in dict.fromkeys(band.file for band in sources)}
    if sun is not None:
        rasters[sun] = open_tiff(delivery, sun)
    file, first = next(iter(rasters.items()))
    where = on_disk(delivery, file)
    check_size(where, first.height, first.width, len(sources))
    for other, raster in rasters.items():
        _check_alike(f"{delivery.path}: {other}", raster, file, first)
        check_pieces(where, raster, np.dtype(np.uint32))
    for band in sources:
        _check_band(f"{delivery.path}: {band.file}", rasters[band.file], band, dtypes, first.dtypes[0])
    if sun is not None and rasters[sun].dtypes[0] not in ("int16", "uint16"):
        raise InputError(f"{delivery.path}: {sun} holds {rasters[sun].dtypes[0]}, not the int16 of sun angles")
    return StackCube(
        path=on_disk(delivery, metadata[0] if metadata else file),
        name=name,
        lines=first.height,
        samples=first.width,
        bands=len(sources),
        band_names=tuple(band.name for band in sources),
        sensor=Sensor(
            sensor,
            np.array([band.centre_nm for band in sources]),
            np.array([band.fwhm_nm for band in sources]),
            tuple(band.name for band in sources),
        ),
        quantity=quantity,
        lines_per_chunk=max(height for raster in rasters.values() for height, _ in raster.block_shapes),
        stored=np.dtype(first.dtypes[0]),
        facts=facts,
        delivery=delivery,
        sources=sources,
        rasters=rasters,
        absent=np.array([[fill, _declared(rasters[band.file], band)] for band in sources]),
        metadata=tuple(metadata),
        sun=sun,
        place=grid_of(first),
    )


def open_tiff(delivery: Delivery, name: str) -> Any:
    """Open a TIFF and nothing beside it: other files could change its numbers. Raises `InputError`."""
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning

    with _readable(delivery, name), warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        return rasterio.open(delivery.gdal_path(name), driver="GTiff")


def read_tiff(delivery: Delivery, name: str) -> NDArray[Any]:
    """Read the first band of a small TIFF whole: (lines, samples) as stored. Raises `InputError`."""
    with open_tiff(delivery, name) as raster:
        check_size(delivery.path / name, raster.height, raster.width, 1)
        with _readable(delivery, name):
            stored: NDArray[Any] = raster.read(1)
    return stored


def on_disk(delivery: Delivery, name: str) -> Path:
    """Return the file that holds one of a delivery's files: itself in a folder, else the archive."""
    return delivery.path / name if delivery.path.is_dir() else delivery.path


def holds(path: Path, wanted: Callable[[Delivery], bool]) -> bool:
    """Whether there is a delivery at a path of which something is true; False where it cannot be read."""
    try:
        return wanted(open_delivery(path))
    except (InputError, OSError, ValueError):
        return False


def check_resolution(what: str, native_m: float, asked_m: float | None) -> None:
    """Refuse to read a product at another pixel size than its own. Raises `UsageError`."""
    if asked_m is not None and asked_m != native_m:
        raise UsageError(f"{what} is read at its own {native_m:g} m, not at {asked_m:g} m; leave the resolution out")


def reflectance_per_si_radiance(centre_nm: float, fwhm_nm: float, earth_sun_au: float) -> float:
    """Return pi d²/E0 of one band by the bundled solar irradiance, for radiance in W m-2 sr-1 um-1.

    Times radiance over the cosine of the sun's zenith angle it gives TOA reflectance.
    """
    band = np.array([centre_nm]), np.array([fwhm_nm])
    irradiance_band = resample_irradiance(read_irradiance(irradiance_file(PUBLISHED)), *band)
    return _PER_SI_RADIANCE * float(reflectance_per_radiance(irradiance_band, earth_sun_au)[0])


def cosine_of_elevation(elevation_deg: float) -> float:
    """Return the cosine of the sun's zenith angle; NaN where the sun is not above the horizon."""
    return math.sin(math.radians(elevation_deg)) if elevation_deg > 0 else math.nan


def night_note(elevation_deg: float) -> str:
    """Return what to say of a scene where the sun is down."""
    return f"night: the sun is {-elevation_deg:.1f} degrees below the horizon; no data where it is down"


def left_out_note(bands: Sequence[str]) -> str:
    """Return what to say of bands that a product has, but not here."""
    return f"missing and left out: {', '.join(bands)}"


@contextmanager
def _readable(delivery: Delivery, name: str) -> Iterator[None]:
    """Have GDAL keep no more than a row of tiles of each band, and look at nothing beside a TIFF."""
    import rasterio

    with (
        readable(delivery.path / name),
        rasterio.Env(GDAL_CACHEMAX=_CACHE_MIB, GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"),
    ):
        yield


def _check_alike(where: str, raster: Any, file: str, first: Any) -> None:
    if (raster.height, raster.width) != (first.height, first.width):
        raise InputError(
            f"{where} has {raster.height} lines x {raster.width} samples, but {file} {first.height} x {first.width}; "
            "are they of one scene?"
        )
    if raster.crs != first.crs or not raster.transform.almost_equals(first.transform):
        raise InputError(f"{where} lies at another place than {file}; are they of one scene?")


def _check_band(where: str, raster: Any, band: Band, dtypes: Sequence[str], first: str) -> None:
    if band.index > raster.count:
        raise InputError(f"{where} has {raster.count} bands, but band {band.index} is needed; is it the right file?")
    if max(abs(band.gain), abs(band.bias)) > _MAX_FACTOR:
        raise InputError(f"{where}: the factors {band.gain:g} and {band.bias:g} make no reflectance of it")
    stored = raster.dtypes[band.index - 1]
    if stored not in dtypes or stored != first:
        wanted = first if first in dtypes else " or ".join(dtypes)
        raise InputError(f"{where} holds {stored}, but {wanted} is needed; give the file as it was delivered")


def _declared(raster: Any, band: Band) -> float:
    nodata = raster.nodatavals[band.index - 1]
    return math.nan if nodata is None else float(nodata)
