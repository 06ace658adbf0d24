"""The float32 memory map of a file of labelled spectra: written once, whole, checked and reused."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import h5py
import numpy as np
from numpy.typing import NDArray

from spectf_cloud.errors import InputError, OutputError
from spectf_cloud.outputs import PREFIX, writing_in
from spectf_cloud.readers.hdf5_storage import find_dataset, read_dataset
from spectf_cloud.weights import sha256_of

_SCHEMA = 1
_BLOCK_BYTES = 2**25
_LARGEST_LABEL = 2


@dataclass(frozen=True, eq=False)
class CachedFile:
    """One file of labelled spectra.

    `toa` is a read-only memory map (n, bands) float32; `labels` (n,) uint8, `scene` (n,) int32 into `fids`,
    `indices` (n, 2) int32, `wavelength_nm` (bands,) float64. `sha256` is that of the float32 spectra.
    """

    source: Path
    sha256: str
    toa: NDArray[np.float32]
    labels: NDArray[np.uint8]
    scene: NDArray[np.int32]
    fids: tuple[str, ...]
    indices: NDArray[np.int32]
    wavelength_nm: NDArray[np.float64]


def cached_file(
    source: Path, cache_dir: Path | None = None, progress: Callable[[int, int], None] | None = None
) -> CachedFile:
    """The memory map of an HDF5 file, made now unless a good one is there. Raises `InputError`, `OutputError`."""
    if not source.is_file():
        raise InputError(f"{source}: no such file of labelled spectra")
    folder = _folder(source, cache_dir)
    found = _read(source, folder)
    if found is None:
        shutil.rmtree(folder, ignore_errors=True)
        _write(source, folder, progress)
        found = _read(source, folder)
        if found is None:
            raise OutputError(f"{folder}: what was written cannot be read back; is the disk sound?")
    return found


def _folder(source: Path, cache_dir: Path | None) -> Path:
    """One folder per state of a file: its place, size and time of change."""
    root = cache_dir or (Path(os.environ["SPECTF_CACHE_DIR"]) if os.environ.get("SPECTF_CACHE_DIR") else None)
    if root is None:
        import pooch

        root = Path(pooch.os_cache("spectf-cloud")) / "spectra"
    status = source.stat()
    identity = f"{_SCHEMA} {source.resolve()} {status.st_size} {status.st_mtime_ns}"
    return root / f"{source.stem}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}"


def _read(source: Path, folder: Path) -> CachedFile | None:
    """What the folder holds, if it is what its manifest says, else None."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        if any(sha256_of(folder / name) != sum_ for name, sum_ in manifest["sha256"].items()):
            return None
        with np.load(folder / "rows.npz", allow_pickle=False) as rows:
            columns = {name: rows[name] for name in rows.files}
        shape = (len(columns["labels"]), len(columns["wavelength_nm"]))
        toa = np.memmap(folder / "toa.f32", np.float32, "r", shape=shape)
    except (OSError, ValueError, KeyError):
        return None
    fids = tuple(str(fid) for fid in columns.pop("fids"))
    return CachedFile(source=source, sha256=manifest["sha256"]["toa.f32"], toa=toa, fids=fids, **columns)


def _write(source: Path, folder: Path, progress: Callable[[int, int], None] | None) -> None:
    """Convert a file into the folder, which appears whole or not at all."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with writing_in(folder.parent):
            temporary = Path(tempfile.mkdtemp(prefix=PREFIX, dir=folder.parent))
            try:
                _fill(source, temporary, progress)
                _publish(temporary, folder)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise OutputError(
            f"{folder.parent}: {source.name} could not be cached ({error.strerror or error}); "
            "make room, or name another folder in SPECTF_CACHE_DIR"
        ) from error


def _fill(source: Path, folder: Path, progress: Callable[[int, int], None] | None) -> None:
    with _open(source) as file:
        spectra = _spectra(source, file)
        _check_space(folder, spectra)
        columns = _columns(source, file, spectra.shape)
        with (folder / "toa.f32").open("wb") as stream:
            _copy_spectra(source, spectra, stream, progress)
    np.savez(folder / "rows.npz", allow_pickle=False, **columns)
    sums = {name: sha256_of(folder / name) for name in ("toa.f32", "rows.npz")}
    manifest = {
        "schema": _SCHEMA,
        "source": str(source.resolve()),
        "spectra": len(columns["labels"]),
        "sha256": sums,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1), encoding="utf-8")


def _publish(temporary: Path, folder: Path) -> None:
    try:
        temporary.replace(folder)
    except OSError:
        if not (folder / "manifest.json").exists():  # else another process was quicker: the same content
            raise


@contextmanager
def _open(source: Path) -> Iterator[h5py.File]:
    """The open file; whatever h5py raises of its content is an `InputError`."""
    with _readable(source):
        file = h5py.File(source, "r")
    with file:
        yield file


@contextmanager
def _readable(source: Path) -> Iterator[None]:
    try:
        yield
    # All of h5py's ways to fail, text that is not UTF-8 and sizes that no memory holds among them.
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
    """The spectra, (n, bands), not read yet. Raises `InputError`."""
    with _readable(source):
        spectra = _dataset(source, file, "spectra", "f")
    if len(spectra.shape) != 2:
        raise InputError(f"{source}: spectra {spectra.shape} are no table of one spectrum a row")
    if spectra.shape[0] == 0:
        raise InputError(f"{source} holds no spectra")
    return spectra


def _columns(source: Path, file: h5py.File, shape: tuple[int, int]) -> dict[str, NDArray[Any]]:
    """Everything but the spectra (of this shape), checked. Raises `InputError`."""
    with _readable(source):
        kinds = {"labels": "iu", "fids": "SO", "indices": "iu"}
        data = {name: _dataset(source, file, name, kind) for name, kind in kinds.items()}
        bands = _bands(source, file, shape)
        for name, expected in (("labels", shape[:1]), ("fids", shape[:1]), ("indices", (shape[0], 2))):
            if data[name].shape != expected:
                raise InputError(
                    f"{source}: '{name}' is {data[name].shape} but {expected} belongs to {shape[0]} spectra"
                )
        labels, raw_fids, indices = (read_dataset(data[name], source) for name in kinds)
        fids, scene = np.unique(np.asarray(raw_fids, dtype="S"), return_inverse=True)
        names = np.char.decode(fids, "utf-8")
    wrong = ~np.isin(labels, np.arange(_LARGEST_LABEL + 1))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise InputError(
            f"{source}: label {labels[row]} of spectrum {row} is none of 0 clear, 1 cloud, 2 shadow "
            f"({wrong.sum():,} such labels)"
        )
    return {
        "labels": labels.astype(np.uint8),
        "scene": scene.astype(np.int32),
        "fids": names,
        "indices": indices.astype(np.int32),
        "wavelength_nm": bands,
    }


def _bands(source: Path, file: h5py.File, shape: tuple[int, int]) -> NDArray[np.float64]:
    if "bands" not in file.attrs:
        raise InputError(f"{source} has no attribute 'bands' (band centres, nm); without it spectra mean nothing")
    bands = np.asarray(file.attrs["bands"], dtype=np.float64).ravel()
    if shape[1] != len(bands):
        raise InputError(f"{source}: spectra {shape} do not have the {len(bands)} bands that 'bands' lists")
    if not np.isfinite(bands).all() or (bands <= 0).any():
        raise InputError(f"{source}: 'bands' must hold positive numbers of nanometres")
    return bands


def _check_space(folder: Path, spectra: h5py.Dataset) -> None:
    needed = spectra.shape[0] * spectra.shape[1] * 4
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OutputError(
            f"{folder}: {needed / 2**30:.1f} GiB are needed to cache the spectra and {free / 2**30:.1f} GiB are free; "
            "make room, or name another folder in SPECTF_CACHE_DIR"
        )


def _copy_spectra(
    source: Path, spectra: h5py.Dataset, stream: IO[bytes], progress: Callable[[int, int], None] | None
) -> None:
    """Write all spectra as float32, in blocks of whole storage chunks. Raises `InputError` for NaN."""
    total, bands = spectra.shape
    chunk = spectra.chunks[0] if spectra.chunks else 1
    block = max(_BLOCK_BYTES // (bands * 8) // chunk, 1) * chunk
    for start in range(0, total, block):
        with _readable(source):
            values = read_dataset(spectra, source, start, min(start + block, total)).astype(np.float32)
        broken = ~np.isfinite(values).all(axis=1)
        if broken.any():
            row = start + int(np.flatnonzero(broken)[0])
            raise InputError(
                f"{source}: spectrum {row} holds NaN or infinite values ({broken.sum()} such among spectra "
                f"{start}–{start + len(values) - 1}); remove them from the file"
            )
        stream.write(values.tobytes())
        if progress:
            progress(start + len(values), total)
