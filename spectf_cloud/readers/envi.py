"""ENVI rasters: a raw array of lines beside a text header."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.errors import InputError
from spectf_cloud.files.signature import TIFF, kind_of
from spectf_cloud.readers import raster
from spectf_cloud.readers.envi_header import EnviHeader, read_header
from spectf_cloud.readers.map_info import read_grid
from spectf_cloud.readers.raw import read_raw
from spectf_cloud.scene import NODATA, Cube, Grid, check_size, step_of

DATA_SUFFIXES = ("", ".img", ".bil", ".bip", ".bsq", ".dat", ".raw", ".bin", ".tif", ".tiff")

# Words in a header's file type that mean another format than raw numbers.
_CONTAINERS = (
    "tif", "nitf", "jpeg", "jp2", "png", "gif", "bitmap", "hdf", "netcdf", "imagine", "erdas", "pci", "ecw", "mrsid",
    "virtual", "meta file", "fits", "grib", "zip",
)  # fmt: skip
# What stands beside scenes and holds no data.
_COMPANIONS = (".hdr", ".xml", ".txt", ".json", ".md5", ".ovr", ".enp", ".sta", ".prj", ".tfw", ".kml", ".csv", ".pdf")


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
        """The header's ``map info``."""
        return self._grid

    @cached_property
    def _grid(self) -> Grid | None:
        return read_grid(self.header)


def open_cube(path: Path) -> Cube:
    """Open an ENVI raster by its header or its data file. Raises `InputError`.

    A header may stand beside a TIFF, whose bytes are never taken for raw numbers.
    """
    header, data_path = _find_pair(path)
    if _is_tiff(header, data_path):
        return raster.open_cube(data_path, header)
    check_size(header.path, header.lines, header.samples, header.bands)
    needed, present = _needed_bytes(header), data_path.stat().st_size
    if present < needed:
        described = f"{needed:,}" if needed < 2**63 else "an impossible number"
        raise InputError(
            f"{data_path} is truncated: {present:,} bytes, but {header.path.name} describes {described} "
            f"({header.lines} lines x {header.samples} samples x {header.bands} bands); copy the file again"
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
        sensor=header.sensor(data_path.stem),
        stored=header.dtype,
        marked_bad=header.bad_bands,
        simulated=header.simulated,
        step=step_of(header.dtype, header.gain),
        counted=True,
    )


def is_envi(path: Path) -> bool:
    """Whether ``path`` is an ENVI header or has one beside it."""
    return path.suffix.lower() == ".hdr" or bool(_headers_of(path))


def _is_tiff(header: EnviHeader, data_path: Path) -> bool:
    """Whether the data are a TIFF rather than raw numbers. Raises `InputError` where they are neither."""
    kind = kind_of(data_path)
    if kind == TIFF:
        return True
    if kind is not None:
        raise InputError(f"{data_path} is {kind.name}, not the raw numbers of an ENVI file; {kind.way_out}")
    stated = header.fields.get("file type", "").strip()
    if any(word in header.file_type for word in _CONTAINERS):
        raise InputError(
            f"{data_path} does not begin as the '{stated[:40]}' that {header.path.name} calls it; if it holds raw "
            "numbers, write there: file type = ENVI Standard"
        )
    return False


def _needed_bytes(header: EnviHeader) -> int:
    """Bytes of raw data that the header describes."""
    return header.offset + header.lines * header.samples * header.bands * header.dtype.itemsize


def _find_pair(path: Path) -> tuple[EnviHeader, Path]:
    """Header and data file, whichever is given."""
    if path.suffix.lower() == ".hdr":
        header = read_header(path)
        return header, _data_of(header)
    headers = _headers_of(path)
    if not headers:
        raise InputError(f"{path}: no ENVI header {path.name}.hdr or {path.stem}.hdr beside it")
    return read_header(headers[0]), path


def _headers_of(data: Path) -> list[Path]:
    """Headers named after the whole name or the stem of a data file, the likeliest first."""
    plain = [data.with_name(data.name + ".hdr"), data.with_suffix(".hdr")]
    return [header for header in plain if header.is_file()] or in_any_case(data.parent, plain)


def _data_of(header: EnviHeader) -> Path:
    """The data file of a header: of its whole name, else of its stem and a usual suffix, else the one of its stem."""
    base = header.path.with_suffix("")
    plain = [base.with_name(base.name + suffix) for suffix in DATA_SUFFIXES]
    found = [data for data in plain if data.is_file()] or in_any_case(base.parent, plain)
    if not found:
        found = [data for data in _of_stem(base) if _plausible(header, data)]
    elif len(found) > 1:
        found = _likeliest(header, found)
    if not found:
        raise InputError(f"{header.path}: no data file {base.name} (or {', '.join(DATA_SUFFIXES[1:])}) beside it")
    if len(found) > 1:
        names = ", ".join(data.name for data in found)
        raise InputError(f"{header.path} may describe any of {names}; give the one that is meant instead")
    return found[0]


def _likeliest(header: EnviHeader, found: list[Path]) -> list[Path]:
    """Of several files with usual names, those that fit the header and have no header of their own."""
    base = header.path.with_suffix("").name
    free = [
        data
        for data in found
        if data.name == base or any(header.path.samefile(likeliest) for likeliest in _headers_of(data)[:1])
    ]
    fitting = [data for data in free if _plausible(header, data)]
    whole = [data for data in fitting if data.name == base]
    return whole or fitting or found[:1]


def _plausible(header: EnviHeader, data: Path) -> bool:
    """Whether a file may hold what the header describes."""
    kind = kind_of(data)
    if header.says_tiff:
        return kind == TIFF
    return kind is None and data.stat().st_size >= _needed_bytes(header)


def _of_stem(base: Path) -> list[Path]:
    """Files beside a header that are named like it but for the suffix."""
    stem = base.name.lower()
    files = (path for path in base.parent.iterdir() if stem in (path.stem.lower(), path.name.lower()))
    return sorted(path for path in files if path.suffix.lower() not in _COMPANIONS and path.is_file())


def in_any_case(folder: Path, wanted: list[Path]) -> list[Path]:
    """Files of a folder that have one of the wanted names but for upper and lower case, in the order of these."""
    order = [path.name.lower() for path in wanted]
    try:
        files = [path for path in folder.iterdir() if path.name.lower() in order and path.is_file()]
    except OSError:  # a folder that may be entered but not listed
        return []
    return sorted(files, key=lambda path: (order.index(path.name.lower()), path.name))
