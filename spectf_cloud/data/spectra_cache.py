"""The float32 memory map of a file of labelled spectra: written once, then checked and reused."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.data.spectra_check import (
    MAX_SAMPLE,
    LeftOut,
    any_missing,
    doubts,
    doubts_of_gaps,
    no_measurement,
    refuse,
    settle,
)
from spectf_cloud.data.spectra_file import NO_LABEL, SpectraFile, open_file
from spectf_cloud.errors import InputError, OutputError
from spectf_cloud.files.atomic import PREFIX, writing_in
from spectf_cloud.files.cache import cache_folder
from spectf_cloud.readers.irradiance import Irradiance
from spectf_cloud.weights import sha256_of

logger = logging.getLogger(__name__)

_SCHEMA = 2
_SAMPLE_PLACES = 64


@dataclass(frozen=True, eq=False)
class CachedFile:
    """One file of labelled spectra.

    `toa` is a read-only memory map (n, bands) float32; `labels` (n,) uint8, `scene` (n,) int32 into `fids`,
    `indices` (n, 2) int32, `wavelength_nm` (bands,) float64, ascending. `sha256` is that of the float32 spectra.
    `left_out` counts the spectra of the file that are not in `toa`, `notes` says where the reading differs from the
    file. `irradiance` is the solar irradiance that the file says it was made with.
    """

    source: Path
    sha256: str
    toa: NDArray[np.float32]
    labels: NDArray[np.uint8]
    scene: NDArray[np.int32]
    fids: tuple[str, ...]
    indices: NDArray[np.int32]
    wavelength_nm: NDArray[np.float64]
    left_out: LeftOut
    notes: tuple[str, ...] = ()
    irradiance: Irradiance | None = None


def cached_file(
    source: Path,
    cache_dir: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    *,
    trust: bool = False,
) -> CachedFile:
    """Return the memory map of an HDF5 file, from the cache or made now, and check its content.

    With ``trust`` doubts about the content are only logged. Raises `InputError`, `OutputError`.
    """
    if not source.is_file():
        raise InputError(f"{source}: no such file of labelled spectra")
    folder = _folder(source, cache_dir)
    found = _read(source, folder)
    if found is None:
        shutil.rmtree(folder, ignore_errors=True)
        _write(source, folder, progress, trust)
        found = _read(source, folder)
        if found is None:
            raise OutputError(f"{folder}: the cached spectra cannot be read back; check the disk")
    for note in found.notes:
        logger.warning("%s: %s", source, note)
    rows = np.unique(np.linspace(0, len(found.toa) - 1, MAX_SAMPLE).astype(np.int64))
    doubtful = doubts(source, found.toa[rows], found.wavelength_nm)
    settle([*doubts_of_gaps(source, found.left_out), *doubtful], trust=trust)
    return found


def _folder(source: Path, cache_dir: Path | None) -> Path:
    """Return the folder of this state of a file: its path, size and time of change."""
    root = cache_dir or cache_folder() / "spectra"
    status = source.stat()
    identity = f"{_SCHEMA} {source.resolve()} {status.st_size} {status.st_mtime_ns}"
    return root / f"{source.stem}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}"


def _read(source: Path, folder: Path) -> CachedFile | None:
    """Return the content of the folder; None where it differs from its manifest."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        if any(sha256_of(folder / name) != sum_ for name, sum_ in manifest["sha256"].items()):
            return None
        with np.load(folder / "rows.npz", allow_pickle=False) as rows:
            columns = {name: rows[name] for name in rows.files}
        shape = (len(columns["labels"]), len(columns["wavelength_nm"]))
        toa = np.memmap(folder / "toa.f32", np.float32, "r", shape=shape)
        stated: dict[str, Any] = {
            "left_out": LeftOut(**manifest["left_out"]),
            "notes": tuple(manifest["notes"]),
            "irradiance": Irradiance(**manifest["irradiance"]) if manifest["irradiance"] else None,
        }
    except (OSError, ValueError, KeyError, TypeError):
        return None
    fids = tuple(str(fid) for fid in columns.pop("fids"))
    return CachedFile(source=source, sha256=manifest["sha256"]["toa.f32"], toa=toa, fids=fids, **columns, **stated)


def _write(source: Path, folder: Path, progress: Callable[[int, int], None] | None, trust: bool) -> None:
    """Convert a file into the folder, which appears complete or not at all."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with writing_in(folder.parent):
            temporary = Path(tempfile.mkdtemp(prefix=PREFIX, dir=folder.parent))
            try:
                _fill(source, temporary, progress, trust)
                _publish(temporary, folder)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise OutputError(
            f"{folder.parent}: {source.name} could not be cached ({error.strerror or error}); "
            "make room, or name another folder in SPECTF_CACHE_DIR"
        ) from error


def _fill(source: Path, folder: Path, progress: Callable[[int, int], None] | None, trust: bool) -> None:
    """Write spectra, their columns, and the manifest. Implausible data are refused before the copy."""
    with open_file(source) as file:
        if not trust:
            unlabelled = LeftOut(len(file), int((file.labels == NO_LABEL).sum()), file.first_wrong)
            refuse([*doubts_of_gaps(source, unlabelled), *doubts(source, _sample(file), file.wavelength_nm)])
        _check_space(folder, file)
        with (folder / "toa.f32").open("wb") as stream:
            kept, left_out = _copy_spectra(file, stream, progress)
        if not trust:
            refuse(doubts_of_gaps(source, left_out))
        if not kept.any():
            raise InputError(f"{source} holds no usable spectra")
    scenes, scene = np.unique(file.scene[kept], return_inverse=True)
    columns: dict[str, NDArray[Any]] = {
        "labels": file.labels[kept],
        "scene": scene.astype(np.int32),
        "fids": np.array(file.fids)[scenes],
        "indices": file.indices[kept],
        "wavelength_nm": file.wavelength_nm,
    }
    np.savez(folder / "rows.npz", allow_pickle=False, **columns)
    manifest = {
        "schema": _SCHEMA,
        "source": str(source.resolve()),
        "spectra": len(scene),
        "left_out": asdict(left_out),
        "notes": file.notes,
        "irradiance": asdict(file.irradiance) if file.irradiance else None,
        "sha256": {name: sha256_of(folder / name) for name in ("toa.f32", "rows.npz")},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1), encoding="utf-8")


def _publish(temporary: Path, folder: Path) -> None:
    try:
        temporary.replace(folder)
    except OSError:
        if not (folder / "manifest.json").exists():  # else another process has written the same content
            raise


def _check_space(folder: Path, file: SpectraFile) -> None:
    needed = len(file) * len(file.wavelength_nm) * 4
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OutputError(
            f"{folder}: {needed / 2**30:.1f} GiB are needed to cache the spectra and {free / 2**30:.1f} GiB are free; "
            "make room, or name another folder in SPECTF_CACHE_DIR"
        )


def _sample(file: SpectraFile) -> NDArray[np.float32]:
    """Return spectra from all over the file, without those that have missing values."""
    size = max(MAX_SAMPLE // _SAMPLE_PLACES, 1)
    starts = np.unique(np.linspace(0, max(len(file) - size, 0), _SAMPLE_PLACES).astype(int)).tolist()
    values = np.concatenate([file.read(start, min(start + size, len(file))) for start in starts])
    return values[~any_missing(values) & ~no_measurement(values)]


def _copy_spectra(
    file: SpectraFile, stream: IO[bytes], progress: Callable[[int, int], None] | None
) -> tuple[NDArray[np.bool_], LeftOut]:
    """Write the usable spectra as float32; return which (n,) they are, and the counts of the others."""
    partial, empty, unlabelled = np.zeros(len(file), bool), np.zeros(len(file), bool), file.labels == NO_LABEL
    dead, start = np.ones(len(file.wavelength_nm), bool), 0
    for values in file.blocks():
        here = slice(start, start + len(values))
        empty[here] = no_measurement(values)
        partial[here] = any_missing(values) & ~empty[here]
        dead &= ~np.isfinite(values[~empty[here]]).any(axis=0)
        stream.write(values[~(partial[here] | empty[here] | unlabelled[here])].tobytes())
        start += len(values)
        if progress:
            progress(start, len(file))
    if dead.any() and not empty.all():
        raise InputError(
            f"{file.source}: {dead.sum()} of {len(dead)} bands hold no measurement in any spectrum, the first at "
            f"{file.wavelength_nm[dead][0]:.0f} nm; remove these bands from 'spectra' and 'bands'"
        )
    first = int(np.argmax(partial)) if partial.any() else -1
    left_out = LeftOut(len(file), int(unlabelled.sum()), file.first_wrong, int(empty.sum()), int(partial.sum()), first)
    return ~(partial | empty | unlabelled), left_out
