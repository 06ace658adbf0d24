"""Sentinel-2 Level-1C and Level-2A products (SAFE): all bands on one grid of 10, 20 or 60 m, as reflectance.

Pixels are stored as uint16 in one JPEG 2000 file a band: 0 is no data, 65535 is saturated. Coarser pixels are the mean
of the finer ones that hold data; finer pixels repeat the coarser one that covers them.
"""

from __future__ import annotations

import os
import re
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.errors import InputError, UsageError
from spectf_cloud.readers.band_stack import SURFACE_NOTE
from spectf_cloud.readers.delivery import Delivery, is_archive, open_delivery
from spectf_cloud.readers.raster import readable
from spectf_cloud.readers.sentinel2_metadata import NATIVE_M, Band, Product, Tile, read_product, read_tile
from spectf_cloud.scene import Cube, Facts, Grid, Scene, check_size
from spectf_cloud.sensor import Sensor

Float32Array = NDArray[np.float32]
FloatArray = NDArray[np.float64]

#: Pixel sizes that are offered, m, and the one that is taken where none is asked for.
RESOLUTIONS_M = (10, 20, 60)
DEFAULT_RESOLUTION_M = 20

_SATURATED = 65535
# In threads of its own GDAL prints that a tile is damaged, and reads it as zeros: so threads are ours, one a band.
_GDAL = {"GDAL_NUM_THREADS": 1, "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR"}
_DECODERS = 4
# Agencies store 1024 lines of 10 m in one row of tiles.
_TILE_M = 10240
_METADATA = re.compile(r"(mtd_msil..|s2._.*_mtd_saf)[^/]*\.xml", re.IGNORECASE)
_PARTS = (".xml", ".jp2", ".safe")
# From IMG_DATA/R10m to the folder of the product.
_MAX_DEPTH = 5


@dataclass(frozen=True, eq=False)
class _Rows:
    """Lines of one band that were decoded together: (lines, samples) uint16 from line ``start``."""

    start: int
    values: NDArray[np.uint16]


@dataclass(frozen=True, eq=False, kw_only=True)
class Sentinel2Cube(Cube):
    """A cube over the images of one product.

    Nothing stays open between reads. Of each band the last row of tiles is kept, so that lines read in order are
    decoded once.
    """

    delivery: Delivery
    metadata: tuple[str, ...]
    product: Product
    images: tuple[str, ...]
    tile: Tile
    resolution_m: int
    # One read at a time: of each band one row of tiles is kept.
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _kept: dict[int, _Rows] = field(default_factory=dict, repr=False)
    _saturated: dict[tuple[int, int], int] = field(default_factory=dict, repr=False)

    @property
    def files(self) -> tuple[Path, ...]:
        """The images and the metadata, or the archive that holds them."""
        if not self.delivery.path.is_dir():
            return (self.delivery.path,)
        return tuple(self.delivery.path / name for name in (*self.metadata, *self.images))

    @property
    def saturated(self) -> int:
        """How many stored values of the lines read so far were saturated; they read as the brightest valid one."""
        return sum(self._saturated.values())

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should read: the notes of `facts`, and of what was read so far."""
        told = () if self.facts is None else self.facts.notes
        if not self.saturated:
            return told
        return (*told, f"{self.saturated} stored values are saturated ({_SATURATED}) and read as {_SATURATED - 1}")

    def read(self, start: int, stop: int, bands: NDArray[np.intp] | None = None) -> Float32Array:
        """(stop − start, samples, bands or chosen bands) float32 reflectance; NaN for no data."""
        from rasterio.errors import NotGeoreferencedWarning

        chosen = range(self.bands) if bands is None else bands.tolist()
        values = np.empty((len(chosen), stop - start, self.samples), np.float32)

        def fill(place: int) -> None:
            values[place] = self._read_band(chosen[place], start, stop)

        with self.lock, warnings.catch_warnings(), ThreadPoolExecutor(_DECODERS, "spectf-decode") as pool:
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            for band in chosen:  # what is compressed is unpacked here: archives are not for several threads
                self.delivery.gdal_path(self.images[band])
            for _ in pool.map(fill, range(len(chosen))):  # raises what a band raised
                pass
        return np.moveaxis(values, 0, -1)

    def as_read(self, stored: NDArray[np.generic]) -> Float32Array:
        """Numbers (…, bands) as the files hold them, as reflectance; NaN for no data."""
        values = np.where(stored == 0, np.float32(np.nan), stored.astype(np.float32))
        values += np.array([band.offset for band in self.product.bands], np.float32)
        values /= np.float32(self.product.quantification)
        return values

    def grid(self) -> Grid:
        """The georeference of the tile."""
        return self.tile.grid

    def read_sun_deg(self, start: int, stop: int) -> tuple[FloatArray, FloatArray]:
        """Read the sun's zenith and azimuth at pixel centres: each (stop − start, samples) float64 degrees.

        They are for reports: reflectance is divided by the cosine already. Raises `InputError` where the product has
        none.
        """
        if self.tile.sun is None:
            raise InputError(f"{self.path}: the metadata of the tile hold no grid of the sun's angles")
        south_m, east_m = ((np.arange(*ends) + 0.5) * self.resolution_m for ends in ((start, stop), (0, self.samples)))
        return self.tile.sun.at(south_m, east_m)

    def _read_band(self, band: int, start: int, stop: int) -> Float32Array:
        """Lines of the cube's grid, (stop − start, samples) reflectance."""
        source = self.product.bands[band]
        finer = max(1, self.resolution_m // source.resolution_m)
        coarser = max(1, source.resolution_m // self.resolution_m)
        first, last = start // coarser, -(-stop // coarser)
        values = _mean(self._stored_lines(band, first * finer, last * finer), finer)
        values += np.float32(source.offset)
        values /= np.float32(self.product.quantification)
        if coarser == 1:
            return values
        skipped = start - first * coarser
        return values.repeat(coarser, 0)[skipped : skipped + stop - start].repeat(coarser, 1)

    def _stored_lines(self, band: int, start: int, stop: int) -> NDArray[np.uint16]:
        """Lines of one image, (stop − start, samples) as stored but for saturated ones."""
        pieces = []
        while start < stop:
            rows = self._kept.get(band)
            if rows is None or not rows.start <= start < rows.start + len(rows.values):
                self._kept.pop(band, None)  # not two at once
                rows = self._kept[band] = self._decode(band, start)
            pieces.append(rows.values[start - rows.start : stop - rows.start])
            start = rows.start + len(rows.values)
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def _decode(self, band: int, line: int) -> _Rows:
        """The row of tiles that holds a line. Raises `InputError` for a damaged image, or one that does not fit."""
        import rasterio
        from rasterio.windows import Window

        path = self.delivery.path / self.images[band]
        scale = self.resolution_m / self.product.bands[band].resolution_m
        wanted = round(self.lines * scale), round(self.samples * scale)
        # Opened anew each time: of an open image GDAL keeps what it decoded, up to a share of the machine's memory.
        with (
            readable(path, "JPEG 2000"),
            rasterio.Env(**_GDAL),
            rasterio.open(self.delivery.gdal_path(self.images[band]), driver="JP2OpenJPEG") as image,
        ):
            if image.shape != wanted or image.count != 1 or image.dtypes[0] != "uint16":
                raise InputError(
                    f"{path} holds {image.count} band of {image.height} x {image.width} {image.dtypes[0]}, but "
                    f"the metadata describe one of {wanted[0]} x {wanted[1]} uint16; is it of this product?"
                )
            height = image.block_shapes[0][0]
            start = line - line % height
            values = image.read(1, window=Window(0, start, wanted[1], min(height, wanted[0] - start)))
        self._saturated[band, start] = int((values == _SATURATED).sum())
        return _Rows(start, np.minimum(values, _SATURATED - 1, out=values))


def is_sentinel2(path: Path) -> bool:
    """Whether a path is, or is a part of, or holds a Sentinel-2 product, judged by names."""
    try:
        return bool(_found(path))
    except (InputError, OSError, ValueError):
        return False


def open_sentinel2(path: Path, resolution_m: float | None = None) -> Scene:
    """Open a Level-1C or Level-2A product without reading its pixels.

    path
        Its folder, whatever its name, any file of its metadata or images, a folder in it or around it, or its zip.
    resolution_m
        Size of the pixels: 10, 20 (taken where none is given) or 60.

    Raises `InputError` for what is not one whole product, `UsageError` for another resolution.
    """
    resolution = DEFAULT_RESOLUTION_M if resolution_m is None else resolution_m
    if resolution not in RESOLUTIONS_M:
        raise UsageError(f"Sentinel-2 is not read at {resolution:g} m; choose one of 10, 20 and 60 m")
    delivery, name = _one(path)
    product = read_product(delivery.read(name), str(delivery.path / name))
    images = tuple(_image(delivery, PurePosixPath(name).parent, band) for band in product.bands)
    granule = re.split(r"/?IMG_DATA/", images[0], maxsplit=1, flags=re.IGNORECASE)[0]
    of_tile = next(iter(delivery.find(f"{_literal(granule)}/MTD_TL.xml")), f"{granule}/MTD_TL.xml")
    tile = read_tile(delivery.read(of_tile), str(delivery.path / of_tile), int(resolution))
    return Scene.of_reflectance(_cube(delivery, (name, of_tile), product, images, tile, int(resolution)))


def _cube(
    delivery: Delivery,
    metadata: tuple[str, ...],
    product: Product,
    images: tuple[str, ...],
    tile: Tile,
    resolution: int,
) -> Sentinel2Cube:
    where = delivery.path / metadata[0] if delivery.path.is_dir() else delivery.path
    check_size(where, tile.lines, tile.samples, len(images))
    centre_nm, fwhm_nm = zip(*((band.centre_nm, band.fwhm_nm) for band in product.bands), strict=True)
    return Sentinel2Cube(
        path=where,
        name=product.name,
        lines=tile.lines,
        samples=tile.samples,
        bands=len(images),
        band_names=tuple(band.name for band in product.bands),
        sensor=Sensor.from_values(f"{product.satellite} MSI", centre_nm, fwhm_nm, "nm", str(where)),
        quantity="toa_reflectance" if product.level == "L1C" else "surface_reflectance",
        lines_per_chunk=_TILE_M // resolution,
        stored=np.dtype(np.uint16),
        facts=_facts(product, tile),
        delivery=delivery,
        metadata=metadata,
        product=product,
        images=images,
        tile=tile,
        resolution_m=resolution,
    )


def _facts(product: Product, tile: Tile) -> Facts:
    expected = [name for name in NATIVE_M if product.level == "L1C" or name != "B10"]
    absent = [name for name in expected if name not in {band.name for band in product.bands}]
    return Facts(
        product=f"Sentinel-2 {product.level}, processing baseline {product.baseline}",
        level=product.level,
        acquired=tile.acquired or product.began,
        sun_zenith_deg=tile.sun_zenith_deg,
        sun_azimuth_deg=tile.sun_azimuth_deg,
        satellite=product.satellite,
        notes=(
            *([SURFACE_NOTE] if product.level == "L2A" else []),
            *([f"the metadata list no image of {', '.join(absent)}"] if absent else []),
        ),
    )


def _mean(stored: NDArray[np.uint16], size: int) -> Float32Array:
    """Mean of each size x size pixels that hold data: (lines // size, samples // size), NaN where none does.

    Sums of up to 36 numbers of 16 bits are exact in float32, in any order.
    """
    total = np.zeros([length // size for length in stored.shape], np.float32)
    count = np.zeros_like(total)
    for line in range(size):
        for sample in range(size):
            part = stored[line::size, sample::size]
            total += part
            count += part != 0
    with np.errstate(invalid="ignore"):
        total /= count
    return total


def _found(path: Path) -> list[tuple[Path, str]]:
    """Every product at a path: the folder or archive that holds it, and the name of its metadata there."""
    if is_archive(path):
        return [(path, name) for name in open_delivery(path).names if _METADATA.fullmatch(name.rpartition("/")[2])]
    if not path.is_dir() and path.suffix.lower() not in _PARTS:
        return []
    start = path.absolute() if path.is_dir() else path.absolute().parent
    for folder in (start, *start.parents)[:_MAX_DEPTH]:
        if names := _metadata_in(folder):
            inside = folder == start or start.relative_to(folder).parts[0].upper() == "GRANULE"
            chosen = [path.name] if folder == start and path.name in names else names
            return [(folder, name) for name in chosen] if inside else []
    if not path.is_dir():
        return []
    return [(folder, name) for folder in path.iterdir() if folder.is_dir() for name in _metadata_in(folder)]


def _metadata_in(folder: Path) -> list[str]:
    return sorted(name for name in os.listdir(folder) if _METADATA.fullmatch(name))  # noqa: PTH208 - names alone


def _one(path: Path) -> tuple[Delivery, str]:
    """The delivery at a path and the name of its metadata. Raises `InputError` unless there is just one product."""
    try:
        found = _found(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    if len(found) > 1:
        names = ", ".join(sorted(f"{folder.name}/{name}" for folder, name in found[:3]))
        raise InputError(f"{path} holds {len(found)} Sentinel-2 products ({names}); name one of them")
    if not found:
        raise InputError(f"{path} is not a Sentinel-2 product: it has no MTD_MSIL1C.xml or MTD_MSIL2A.xml")
    return open_delivery(found[0][0]), found[0][1]


def _image(delivery: Delivery, folder: PurePosixPath, band: Band) -> str:
    """The file of a band: where the metadata say, or elsewhere in the product where folders were renamed."""
    name = str(folder / f"{band.image}.jp2")
    found = [name] if name in delivery.names else delivery.find(f"*/{_literal(PurePosixPath(name).name)}")
    if len(found) != 1:
        raise InputError(f"{delivery.path}: the image of {band.name}, {name}, is missing; download the product again")
    return found[0]


def _literal(name: str) -> str:
    """A name as a pattern that only it fits."""
    return re.sub(r"([*?[])", r"[\1]", name)
