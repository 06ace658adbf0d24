"""ENVI rasters: a raw array of lines beside a text header."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.errors import InputError
from spectf_cloud.readers.envi_header import EnviHeader, read_header
from spectf_cloud.readers.raw import read_raw
from spectf_cloud.scene import NODATA, Cube, Grid
from spectf_cloud.sensor import Sensor

_DATA_SUFFIXES = ("", ".img", ".bil", ".bip", ".bsq", ".dat", ".raw", ".bin")

#: Where lines, samples and bands stand in the file, by interleave.
AXES = {"bil": (0, 2, 1), "bip": (0, 1, 2), "bsq": (1, 2, 0)}


@dataclass(frozen=True, eq=False, kw_only=True)
class EnviCube(Cube):
    """A cube over an ENVI pair; `path` is the data file. Location and GLT come in files of their own."""

    header: EnviHeader

    @property
    def files(self) -> tuple[Path, ...]:
        """The data file and its header."""
        return self.path, self.header.path

    def read(self, start: int, stop: int, bands: NDArray[np.intp] | None = None) -> NDArray[np.floating]:
        """(stop − start, samples, bands or chosen bands); float32, or float64 where the file is that."""
        sizes = (self.lines, self.samples, self.bands)
        axes = AXES[self.header.interleave]
        stored = tuple(sizes[axes.index(i)] for i in range(3))
        if axes[0] == 0:  # lines follow each other
            line_bytes = stored[1] * stored[2] * self.header.dtype.itemsize
            offset = self.header.offset + start * line_bytes
            block = read_raw(self.path, self.header.dtype, offset, (stop - start, *stored[1:])).transpose(axes)
        else:
            # Mapped anew for each block and copied out, so that resident memory stays that of a block.
            mapped = np.memmap(self.path, self.header.dtype, "r", self.header.offset, stored)
            block = mapped.transpose(axes)[start:stop]
        if bands is not None:
            block = block[..., bands]
        if self.header.dtype.kind == "f" and self.header.gain is None and self.header.bias is None:
            return np.ascontiguousarray(block, dtype=self.header.dtype.newbyteorder("="))
        values = block.astype(np.float32)
        # Before scaling: afterwards no one would know the no-data value again.
        values[(block == self.nodata) | (block == NODATA)] = np.nan
        for scale, operate in ((self.header.gain, np.multiply), (self.header.bias, np.add)):
            if scale is not None:
                operate(values, (scale if bands is None else scale[bands]).astype(np.float32), out=values)
        return values

    def grid(self) -> Grid | None:
        """The header's ``map info``, read by GDAL."""
        if "map info" not in self.header.fields:
            return None
        import rasterio
        from rasterio.errors import NotGeoreferencedWarning, RasterioError

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NotGeoreferencedWarning)
                with rasterio.open(self.path, driver="ENVI") as raster:
                    if raster.crs is None or raster.transform.is_identity:
                        return None
                    return Grid(raster.transform.to_gdal(), raster.crs.to_wkt())
        except RasterioError as error:
            raise InputError(f"{self.header.path}: the map info cannot be used: {error}") from error


def open_cube(path: Path) -> EnviCube:
    """Open an ENVI raster by its header or its data file. Raises `InputError`."""
    header_path, data_path = _find_pair(path)
    header = read_header(header_path)
    needed = header.offset + header.lines * header.samples * header.bands * header.dtype.itemsize
    present = data_path.stat().st_size
    if present < needed:
        raise InputError(
            f"{data_path} is truncated: {present:,} bytes, but {header_path.name} describes {needed:,} "
            f"({header.lines} lines x {header.samples} samples x {header.bands} bands); copy the file again"
        )
    sensor = None
    if header.wavelength is not None:
        sensor = Sensor.from_values(
            data_path.stem, header.wavelength, header.fwhm, header.wavelength_units, str(header_path)
        )
    return EnviCube(
        path=data_path,
        header=header,
        name=data_path.stem,
        lines=header.lines,
        samples=header.samples,
        bands=header.bands,
        nodata=NODATA if header.nodata is None else header.nodata,
        band_names=header.band_names,
        sensor=sensor,
    )


def is_envi(path: Path) -> bool:
    """Whether ``path`` is an ENVI header or has one beside it."""
    return path.suffix.lower() == ".hdr" or any(candidate.is_file() for candidate in _headers_of(path))


def _headers_of(data: Path) -> tuple[Path, ...]:
    return data.with_name(data.name + ".hdr"), data.with_suffix(".hdr")


def _find_pair(path: Path) -> tuple[Path, Path]:
    if path.suffix.lower() == ".hdr":
        base = path.with_suffix("")
        candidates = tuple(base.with_name(base.name + suffix) for suffix in _DATA_SUFFIXES)
        for candidate in candidates:
            if candidate.is_file():
                return path, candidate
        raise InputError(f"{path}: no data file {base.name} (or .img, .bil, .bip, .bsq, .dat, .raw, .bin) beside it")
    for header in _headers_of(path):
        if header.is_file():
            return header, path
    raise InputError(f"{path}: no ENVI header {path.name}.hdr or {path.stem}.hdr beside it")
