"""One HDF5 file of labelled spectra on disk: its schema is checked, its numbers are unpacked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from spectf_cloud.errors import InputError
from spectf_cloud.readers.cf import Packing, packing_of
from spectf_cloud.readers.hdf5_storage import find_dataset, read_attribute, read_dataset
from spectf_cloud.readers.irradiance import Irradiance, irradiance_of_data
from spectf_cloud.sensor import Sensor

NO_LABEL = 255
_MAX_LABEL = 2
_UNITS = ("bands_units", "bands_unit", "band_units", "wavelength_units", "wavelength_unit")
_BLOCK_BYTES = 2**24


@dataclass(frozen=True, eq=False)
class SpectraFile:
    """An open file.

    Attributes
    ----------
    spectra, packing
        (n, bands) of the file, not read yet, and what its numbers mean.
    wavelength_nm, order
        (bands,) centres, nm, ascending, and which columns of the file they are.
    labels, scene, fids, indices
        As in `CachedFile`, for all n; `NO_LABEL` where the file's label is invalid.
    first_wrong
        The first invalid label, in words; or empty.
    notes
        Where the reading differs from the file.
    irradiance
        What the file says of the solar irradiance it was made with.
    """

    source: Path
    spectra: h5py.Dataset
    packing: Packing
    wavelength_nm: NDArray[np.float64]
    order: NDArray[np.intp]
    labels: NDArray[np.uint8]
    first_wrong: str
    scene: NDArray[np.int32]
    fids: tuple[str, ...]
    indices: NDArray[np.int32]
    notes: tuple[str, ...]
    irradiance: Irradiance | None

    def __len__(self) -> int:
        return len(self.labels)

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """Read spectra start to stop, (stop − start, bands) float32, NaN where missing."""
        with _readable(self.source), np.errstate(over="ignore"):
            values = self.packing.decode(read_dataset(self.spectra, self.source, start, stop)).astype(np.float32)
        return values if (np.diff(self.order) == 1).all() else values[:, self.order]

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Yield all spectra, whole storage chunks at a time."""
        chunk = self.spectra.chunks[0] if self.spectra.chunks else 1
        size = max(_BLOCK_BYTES // (len(self.order) * 8) // chunk, 1) * chunk
        for start in range(0, len(self), size):
            yield self.read(start, min(start + size, len(self)))


@contextmanager
def open_file(source: Path) -> Iterator[SpectraFile]:
    """Open a file and check everything but its spectra. Raises `InputError`."""
    with _readable(source):
        file = h5py.File(source, "r")
    with file:
        with _readable(source):
            spectra = _spectra(source, file)
            columns = _columns(source, file, spectra.shape[0])
            wavelength_nm, order, notes = _bands(source, file, spectra.shape)
            packing = packing_of(spectra, source)
            irradiance = irradiance_of_data(file, source)
        yield SpectraFile(
            source, spectra, packing, wavelength_nm, order, notes=tuple(notes), irradiance=irradiance, **columns
        )


@contextmanager
def _readable(source: Path) -> Iterator[None]:
    """Raise as `InputError` what h5py raises for a file's content."""
    try:
        yield
    # Text that is not UTF-8 and sizes that no memory holds are among them.
    except (OSError, LookupError, RuntimeError, ValueError, TypeError, OverflowError, MemoryError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{source} cannot be read as HDF5, it may be truncated; fetch it again ({reason})") from error


def _dataset(source: Path, file: h5py.File, name: str, kinds: str) -> h5py.Dataset:
    data = find_dataset(file, source, name)
    if data is None:
        raise InputError(f"{source} has no data set '{name}'; it is not a file of labelled spectra")
    if data.dtype.kind not in kinds:
        raise InputError(f"{source}: '{name}' holds {data.dtype}; it is not a file of labelled spectra")
    return data


def _spectra(source: Path, file: h5py.File) -> h5py.Dataset:
    """Return the data set of the spectra, (n, bands), not read yet. Raises `InputError`."""
    spectra = _dataset(source, file, "spectra", "fiu")
    if len(spectra.shape) != 2:
        raise InputError(f"{source}: 'spectra' is {spectra.shape}, not a table of one spectrum a row")
    if spectra.shape[0] == 0:
        raise InputError(f"{source} holds no spectra")
    return spectra


def _columns(source: Path, file: h5py.File, count: int) -> dict[str, Any]:
    """Read and check labels, scenes and positions of the spectra. Raises `InputError`."""
    kinds = {"labels": "iufb", "fids": "SO", "indices": "iu"}
    data = {name: _dataset(source, file, name, kind) for name, kind in kinds.items()}
    for name, expected in (("labels", (count,)), ("fids", (count,)), ("indices", (count, 2))):
        if data[name].shape != expected:
            raise InputError(f"{source}: '{name}' is {data[name].shape} but {expected} belongs to {count} spectra")
        for scaling in ("scale_factor", "add_offset"):
            if scaling in data[name].attrs:
                raise InputError(f"{source}: {data[name].name} has the attribute {scaling}, which makes no sense there")
    labels, raw_fids, indices = (read_dataset(data[name], source) for name in kinds)
    fids, scene = np.unique(np.asarray(raw_fids, dtype="S"), return_inverse=True)
    known, first_wrong = _labels(labels)
    return {
        "labels": known,
        "first_wrong": first_wrong,
        "scene": scene.astype(np.int32),
        "fids": tuple(np.char.decode(fids, "utf-8").tolist()),
        "indices": indices.astype(np.int32),
    }


def _labels(labels: NDArray[Any]) -> tuple[NDArray[np.uint8], str]:
    """Return labels as uint8, `NO_LABEL` where they are invalid, and the first invalid one in words.

    Whole numbers may be stored as floats.
    """
    wrong = ~np.isin(labels, np.arange(_MAX_LABEL + 1))
    if not wrong.any():
        return labels.astype(np.uint8), ""
    row = int(np.flatnonzero(wrong)[0])
    return np.where(wrong, NO_LABEL, labels).astype(np.uint8), f"label {labels[row]} of spectrum {row}"


def _bands(
    source: Path, file: h5py.File, shape: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.intp], list[str]]:
    """Return band centres, nm, ascending; their columns in the file; notes on what was converted."""
    if "bands" not in file.attrs:
        raise InputError(f"{source} has no attribute 'bands' (band centres, nm); without it spectra mean nothing")
    bands = np.asarray(file.attrs["bands"])
    if bands.dtype.kind not in "fiu":
        raise InputError(f"{source}: the attribute 'bands' holds {bands.dtype}; numbers of nanometres are needed")
    bands = bands.astype(np.float64).ravel()
    if shape[1] != len(bands):
        raise InputError(f"{source}: spectra {shape} do not have the {len(bands)} bands that 'bands' lists")
    if not np.isfinite(bands).all() or (bands <= 0).any():
        raise InputError(f"{source}: 'bands' must hold positive numbers of nanometres")
    notes = []
    units = _units(file)
    factor = _nm_per_unit(source, units, bands)
    if factor != 1 and units is None:
        notes.append(f"'bands' from {bands.min():g} to {bands.max():g} are taken as micrometres")
    order = np.argsort(bands, kind="stable")
    if (np.diff(order) != 1).any():
        notes.append("'bands' does not ascend; it is sorted, with the columns of 'spectra'")
    return bands[order] * factor, order, notes


def _units(file: h5py.File) -> str | None:
    named = next((read_attribute(file, name) for name in _UNITS if name in file.attrs), None)
    return named.decode("utf-8", "replace") if isinstance(named, bytes) else None if named is None else str(named)


def _nm_per_unit(source: Path, units: str | None, bands: NDArray[np.float64]) -> float:
    """Return the nanometres in a unit of ``bands``, which is guessed as for scenes without one. Raises `InputError`."""
    centres = np.unique(bands)
    if len(centres) < 2:
        raise InputError(f"{source}: 'bands' names fewer than the two band centres that a spectrum needs")
    try:
        with np.errstate(over="ignore"):
            sensor = Sensor.from_values("bands", centres, None, units, str(source))
    except InputError as error:
        if units is not None:
            raise
        text = f"{source}: 'bands' from {centres[0]:g} to {centres[-1]:g} are neither nanometres nor micrometres"
        raise InputError(f"{text} of an imager; give band centres in nanometres") from error
    return round(float(sensor.wavelength_nm[0] / centres[0]), 1)  # an Ångström is a tenth
