"""TIFF rasters, read through GDAL: by themselves, or described by an ENVI header beside them."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.errors import InputError
from spectf_cloud.files.reading import reading
from spectf_cloud.readers.band_centres import bad_bands_of_tiff, sensor_of_tiff
from spectf_cloud.readers.envi_header import EnviHeader
from spectf_cloud.readers.map_info import grid_of, read_grid
from spectf_cloud.scene import NODATA, Cube, Grid, check_size, step_of
from spectf_cloud.sensor import Sensor

FloatArray = NDArray[np.float64]

# A tile or strip is unpacked whole, all its bands together where pixels are interleaved.
_MAX_PIECE_BYTES = 2**30


@dataclass(frozen=True, eq=False, kw_only=True)
class RasterCube(Cube):
    """A cube over an open TIFF.

    gain, bias
        (bands,) float64; None where numbers stand as they are measured.
    absent
        No-data values of each band, the TIFF's and the header's: (2, bands) float64, NaN where there is none.
    masks
        Whether one mask goes for all bands, or each band has its own, or there is none.
    local
        The files on this machine that hold it, where that is not `path` and what stands beside it.
    """

    raster: Any
    header: EnviHeader | None
    gain: FloatArray | None
    bias: FloatArray | None
    absent: FloatArray
    masks: Literal["none", "one", "each"]
    place: Grid | None
    local: tuple[Path, ...] | None
    # GDAL's datasets must not be used by two threads at once.
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def files(self) -> tuple[Path, ...]:
        """The TIFF, what GDAL reads with it, and the ENVI header; or the archive it is in."""
        if self.local is not None:
            return self.local
        beside = () if self.header is None else (self.header.path,)
        return (self.path, *(Path(name) for name in self.raster.files[1:]), *beside)

    def read(self, start: int, stop: int, bands: NDArray[np.intp] | None = None) -> NDArray[np.floating]:
        """(stop − start, samples, bands or chosen bands); NaN for no data."""
        from rasterio.windows import Window

        window = Window(0, start, self.samples, stop - start)
        wanted = [band + 1 for band in (range(self.bands) if bands is None else bands.tolist())]
        with self.lock, readable(self.path):
            stored = np.moveaxis(self.raster.read(wanted, window=window), 0, -1)
            if self.masks == "none":
                return self.as_read(stored, bands)
            mask = self.raster.read_masks([1] if self.masks == "one" else wanted, window=window)
        values = self.as_read(stored, bands)
        values[np.broadcast_to(np.moveaxis(mask, 0, -1) == 0, values.shape)] = np.nan
        return values

    def as_read(self, stored: NDArray[np.generic], bands: NDArray[np.intp] | None = None) -> NDArray[np.floating]:
        """Numbers (…, bands or chosen bands) as the file holds them, scaled; NaN for no data."""
        chosen = slice(None) if bands is None else bands
        values: NDArray[np.floating] = np.array(stored, np.float64 if stored.dtype.itemsize > 4 else np.float32)
        absent = self.absent[:, chosen].astype(stored.dtype if stored.dtype.kind == "f" else np.float64)
        # Before scaling: afterwards no one would know the no-data values again.
        values[(stored == absent[0]) | (stored == absent[1]) | (stored == NODATA)] = np.nan
        for scale, operate in ((self.gain, np.multiply), (self.bias, np.add)):
            if scale is not None:
                operate(values, scale[chosen].astype(values.dtype), out=values)
        return values

    def grid(self) -> Grid | None:
        """The TIFF's georeference, or else that of the header."""
        return self.place


def open_cube(
    path: Path, header: EnviHeader | None = None, name: str | None = None, local: tuple[Path, ...] | None = None
) -> RasterCube:
    """Open a TIFF, with the ENVI header that describes it if there is one. Raises `InputError`.

    ``name`` is what GDAL opens it by where that is not its path: in an archive, or on a server.
    """
    with readable(path):
        raster = _open(str(path.resolve()) if name is None else name)
        check_size(path, raster.height, raster.width, raster.count)
        if header is not None:
            _check_header(path, raster, header)
        stored = _stored(path, raster)
        check_pieces(path, raster, stored)
        gain, bias = _scaling(raster, header)
        place = grid_of(raster)
        return RasterCube(
            path=path,
            name=path.stem,
            lines=raster.height,
            samples=raster.width,
            bands=raster.count,
            band_names=_band_names(raster, header),
            sensor=_sensor(path, raster, header),
            lines_per_chunk=max(height for height, _ in raster.block_shapes),
            stored=stored,
            marked_bad=bad_bands_of_tiff(raster) if header is None else header.bad_bands,
            simulated=_says_simulated(raster, header),
            step=step_of(stored, gain),
            counted=True,
            raster=raster,
            header=header,
            gain=gain,
            bias=bias,
            absent=_absent(raster, header),
            masks=_masks(raster),
            place=read_grid(header) if place is None and header is not None else place,
            local=local,
        )


@contextmanager
def readable(path: Path, form: str = "TIFF") -> Iterator[None]:
    """GDAL's own failures as `InputError`, and none of its words on standard error."""
    import rasterio
    from rasterio._err import CPLE_BaseError  # what properties of a damaged file raise; it has no public name
    from rasterio.errors import CRSError, RasterioError

    try:
        with rasterio.Env(), reading(path):
            yield
    except (RasterioError, CRSError, CPLE_BaseError) as error:
        reason = " ".join(str(error.__cause__ or error).split())
        raise InputError(f"{path}: cannot be read as {form} ({reason}); is it damaged? then copy it again") from error


def _open(name: str) -> Any:
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        # By no other driver: some follow names in a file to other files.
        return rasterio.open(name, driver="GTiff")


def _check_header(path: Path, raster: Any, header: EnviHeader) -> None:
    held = f"{raster.height} lines x {raster.width} samples x {raster.count} bands"
    told = f"{header.lines} lines x {header.samples} samples x {header.bands} bands"
    if held != told:
        raise InputError(f"{path} is a TIFF of {held}, but {header.path.name} describes {told}; which is out of date?")


def _stored(path: Path, raster: Any) -> np.dtype[np.generic]:
    held: set[str] = set(raster.dtypes)
    stored: np.dtype[np.generic] = np.dtype(next(iter(held)))
    if len(held) > 1 or stored.kind not in "fiu":
        raise InputError(f"{path}: a TIFF of {', '.join(sorted(held))}; real numbers of one kind are needed")
    return stored


def check_pieces(path: Path, raster: Any, stored: np.dtype[np.generic]) -> None:
    """Refuse tiles or strips too large to be read in parts. Raises `InputError`."""
    together = raster.count if raster.interleaving is not None and raster.interleaving.name == "pixel" else 1
    largest = max(height * width for height, width in raster.block_shapes) * together * stored.itemsize
    if largest > _MAX_PIECE_BYTES:
        raise InputError(
            f"{path} is stored in pieces of {largest / 2**20:,.0f} MiB, too large to be read in parts; rewrite it "
            "with: gdal_translate -co TILED=YES -co INTERLEAVE=BAND IN OUT.tif"
        )


def _scaling(raster: Any, header: EnviHeader | None) -> tuple[FloatArray | None, FloatArray | None]:
    """Factor and offset of each band: the TIFF's own, else the header's."""
    gain, bias = np.array(raster.scales, np.float64), np.array(raster.offsets, np.float64)
    if not (np.isfinite(gain).all() and np.isfinite(bias).all()):
        raise InputError(f"{raster.name}: its scale and offset must be finite numbers")
    if (gain == 1).all() and (bias == 0).all():
        return (None, None) if header is None else (header.gain, header.bias)
    return gain, bias


def _says_simulated(raster: Any, header: EnviHeader | None) -> bool:
    told = (text.startswith("SIMULATED") for text in raster.tags().values())
    return any(told) or (header is not None and header.simulated)


def _absent(raster: Any, header: EnviHeader | None) -> FloatArray:
    told = [raster.nodatavals, [None if header is None else header.nodata] * raster.count]
    return np.array([[np.nan if value is None else value for value in values] for values in told], np.float64)


def _masks(raster: Any) -> Literal["none", "one", "each"]:
    from rasterio.enums import MaskFlags

    flags = raster.mask_flag_enums
    if all(set(band) <= {MaskFlags.all_valid, MaskFlags.nodata} for band in flags):
        return "none"  # no-data values are compared before scaling
    return "one" if all(MaskFlags.per_dataset in band for band in flags) else "each"


def _band_names(raster: Any, header: EnviHeader | None) -> tuple[str, ...]:
    if header is not None and header.band_names:
        return header.band_names
    return tuple(name or "" for name in raster.descriptions) if any(raster.descriptions) else ()


def _sensor(path: Path, raster: Any, header: EnviHeader | None) -> Sensor | None:
    """Bands as the header gives them, else as GDAL notes them in the TIFF."""
    if header is not None and header.wavelength is not None:
        return header.sensor(path.stem)
    return sensor_of_tiff(path, raster, raster.indexes)
