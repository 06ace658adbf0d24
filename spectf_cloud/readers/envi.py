"""ENVI rasters: a raw array of lines beside a text header."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.errors import InputError
from spectf_cloud.readers.envi_header import EnviHeader, read_header
from spectf_cloud.readers.raw import read_raw
from spectf_cloud.scene import NODATA, Cube, Grid, check_size
from spectf_cloud.sensor import Sensor

DATA_SUFFIXES = ("", ".img", ".bil", ".bip", ".bsq", ".dat", ".raw", ".bin")


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
        return self.as_read(self._stored(start, stop, bands), bands)

    def as_read(self, stored: NDArray[np.generic], bands: NDArray[np.intp] | None = None) -> NDArray[np.floating]:
        """Numbers (…, bands or chosen bands) as the file holds them, scaled; NaN for no data where they are."""
        if self.header.dtype.kind == "f" and self.header.gain is None and self.header.bias is None:
            return np.ascontiguousarray(stored, dtype=self.header.dtype.newbyteorder("="))
        values = stored.astype(np.float32)
        # Before scaling: afterwards no one would know the no-data value again.
        values[(stored == self.nodata) | (stored == NODATA)] = np.nan
        for scale, operate in ((self.header.gain, np.multiply), (self.header.bias, np.add)):
            if scale is not None:
                operate(values, (scale if bands is None else scale[bands]).astype(np.float32), out=values)
        return values

    def _stored(self, start: int, stop: int, bands: NDArray[np.intp] | None) -> NDArray[np.generic]:
        """(stop − start, samples, chosen bands) as the file holds them."""
        dtype, offset, lines = self.header.dtype, self.header.offset, stop - start
        if self.header.interleave == "bsq":
            wanted = range(self.bands) if bands is None else bands.tolist()
            block = np.empty((lines, self.samples, len(wanted)), dtype)
            for position, band in enumerate(wanted):
                first = (band * self.lines + start) * self.samples
                place = offset + first * dtype.itemsize
                block[..., position] = read_raw(self.path, dtype, place, (lines, self.samples))
            return block
        place = offset + start * self.samples * self.bands * dtype.itemsize
        if self.header.interleave == "bip":
            block = read_raw(self.path, dtype, place, (lines, self.samples, self.bands))
        else:
            block = read_raw(self.path, dtype, place, (lines, self.bands, self.samples)).transpose(0, 2, 1)
        return block if bands is None else block[..., bands]

    def grid(self) -> Grid | None:
        """The header's ``map info``, understood by GDAL."""
        if "map info" not in self.header.fields:
            return None
        import rasterio
        from rasterio.errors import CRSError, NotGeoreferencedWarning, RasterioError
        from rasterio.io import MemoryFile

        folder = f"spectf-{uuid4()}"
        try:
            with (
                warnings.catch_warnings(),
                MemoryFile(bytes(2), dirname=folder, filename="grid.img") as data,
                MemoryFile(self._map_header(), dirname=folder, filename="grid.hdr"),
            ):
                warnings.simplefilter("ignore", NotGeoreferencedWarning)
                with rasterio.open(data.name, driver="ENVI") as raster:
                    if raster.crs is None or raster.transform.is_identity:
                        return None
                    return Grid(raster.transform.to_gdal(), raster.crs.to_wkt())
        except (RasterioError, CRSError) as error:
            raise InputError(f"{self.header.path}: the map info cannot be used: {error}") from error

    def _map_header(self) -> bytes:
        """A header of nothing but the map: GDAL sees no byte that was not looked at, and no file of the user's."""
        rows = ["ENVI", "samples = 1", "lines = 1", "bands = 1", "data type = 1", "interleave = bsq"]
        for key in ("map info", "projection info", "coordinate system string"):
            if key in self.header.fields:
                rows.append(f"{key} = {' '.join(self.header.fields[key].split())}")
        return "\n".join(rows).encode("ascii", "replace") + b"\n"


def open_cube(path: Path) -> EnviCube:
    """Open an ENVI raster by its header or its data file. Raises `InputError`."""
    header_path, data_path = _find_pair(path)
    header = read_header(header_path)
    check_size(header_path, header.lines, header.samples, header.bands)
    needed = header.offset + header.lines * header.samples * header.bands * header.dtype.itemsize
    present = data_path.stat().st_size
    if present < needed:
        described = f"{needed:,}" if needed < 2**63 else "an impossible number"
        raise InputError(
            f"{data_path} is truncated: {present:,} bytes, but {header_path.name} describes {described} "
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
        stored=header.dtype,
    )


def is_envi(path: Path) -> bool:
    """Whether ``path`` is an ENVI header or has one beside it."""
    return path.suffix.lower() == ".hdr" or any(candidate.is_file() for candidate in _headers_of(path))


def _headers_of(data: Path) -> tuple[Path, ...]:
    return data.with_name(data.name + ".hdr"), data.with_suffix(".hdr")


def _find_pair(path: Path) -> tuple[Path, Path]:
    if path.suffix.lower() == ".hdr":
        base = path.with_suffix("")
        candidates = tuple(base.with_name(base.name + suffix) for suffix in DATA_SUFFIXES)
        for candidate in candidates:
            if candidate.is_file():
                return path, candidate
        raise InputError(f"{path}: no data file {base.name} (or .img, .bil, .bip, .bsq, .dat, .raw, .bin) beside it")
    for header in _headers_of(path):
        if header.is_file():
            return header, path
    raise InputError(f"{path}: no ENVI header {path.name}.hdr or {path.stem}.hdr beside it")
