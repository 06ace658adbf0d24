"""Labelled spectra: files in the published training schema, opened as one table on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.data.spectra_cache import CachedFile, cached_file
from spectf_cloud.errors import InputError, UsageError

#: Labels of the files. Shadow counts as clear for the mask.
CLEAR, CLOUD, SHADOW = 0, 1, 2
#: Band centres of files that are opened together differ by less than this, nm.
_SAME_BANDS_NM = 0.01


@dataclass(frozen=True, eq=False)
class Spectra:
    """Labelled TOA spectra of many scenes.

    Attributes
    ----------
    files
        The float32 memory maps behind it, in the order given.
    wavelength_nm
        (bands,) float64 band centres, nm.
    labels
        (n,) uint8 as in the files: 0 clear, 1 cloud, 2 cloud shadow. `cloud` is the label to learn.
    scene
        (n,) int32, the position in `fids` of each spectrum's scene.
    fids
        Names of the scenes of all files, sorted, without repeats.
    indices
        (n, 2) int32 line and sample in the scene.
    """

    files: tuple[CachedFile, ...]
    wavelength_nm: NDArray[np.float64]
    labels: NDArray[np.uint8]
    scene: NDArray[np.int32]
    fids: tuple[str, ...]
    indices: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def bands(self) -> int:
        """Return the number of bands."""
        return len(self.wavelength_nm)

    @cached_property
    def cloud(self) -> NDArray[np.uint8]:
        """Return (n,) uint8: 1 cloud, 0 anything else, shadow included."""
        cloud: NDArray[np.uint8] = (self.labels == CLOUD).astype(np.uint8)
        return cloud

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        return np.cumsum([0] + [len(file.toa) for file in self.files])

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Read the spectra of these rows, in their order: (len(rows), bands) float32."""
        if len(self.files) == 1:
            return self.files[0].toa[rows]
        part = np.searchsorted(self._starts, rows, side="right") - 1
        result = np.empty((len(rows), self.bands), np.float32)
        for number, file in enumerate(self.files):
            here = part == number
            result[here] = file.toa[rows[here] - self._starts[number]]
        return result

    def blocks(self, rows: NDArray[np.int64], size: int = 16384) -> Iterator[NDArray[np.float32]]:
        """Yield the spectra of these rows as `take` reads them, ``size`` at a time."""
        for start in range(0, len(rows), size):
            yield self.take(rows[start : start + size])

    def rows_of(self, fids: Iterable[str]) -> NDArray[np.int64]:
        """Return the row numbers, ascending, of all spectra of these scenes; unknown names are ignored."""
        number = {fid: scene for scene, fid in enumerate(self.fids)}
        wanted = np.zeros(len(self.fids), dtype=bool)
        wanted[[number[fid] for fid in fids if fid in number]] = True
        return np.flatnonzero(wanted[self.scene])

    def counts(self) -> NDArray[np.int64]:
        """Return the number of spectra of each label in each scene (scenes, 3)."""
        flat = np.bincount(self.scene.astype(np.int64) * 3 + self.labels, minlength=3 * len(self.fids))
        return flat.reshape(-1, 3)


def open_spectra(
    paths: str | Path | Sequence[str | Path],
    *,
    cache_dir: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    trust: bool = False,
) -> Spectra:
    """Open HDF5 files of labelled spectra (schema of Zenodo 14607937) as one table.

    Data that cannot be TOA reflectance of bands in nm are refused, doubtful data give a warning, and spectra without a
    measurement are left out and counted.

    The first opening writes each file's spectra as a float32 memory map into the cache, block by block; later
    ones check and reuse it. Memory use does not grow with the number of spectra.

    Parameters
    ----------
    paths
        One or several files; ``spectra`` (n, bands), ``labels`` (n,) 0–2, ``fids`` (n,), ``indices`` (n, 2),
        attribute ``bands`` (bands,) nm. The table's bands ascend, in any order of the file.
    cache_dir
        Folder of the memory maps; default: SPECTF_CACHE_DIR, else the user's cache.
    progress
        Called with (done, total) spectra while a file is being cached.
    trust
        Warn about implausible data instead of refusing them.

    Raises
    ------
    InputError
        A file that is missing, damaged, implausible, not in this schema, or with other bands than the first.
    OutputError
        The cache cannot be written.
    """
    names = [Path(paths)] if isinstance(paths, (str, Path)) else [Path(path) for path in paths]
    if not names:
        raise UsageError("name at least one file of labelled spectra")
    if len({name.resolve() for name in names}) < len(names):
        raise UsageError("a file of labelled spectra is named twice; its spectra would count twice")
    files = tuple(cached_file(name, cache_dir, progress, trust=trust) for name in names)
    for file in files[1:]:
        _check_bands(files[0], file)
    fids = tuple(sorted({fid for file in files for fid in file.fids}))
    number = {fid: scene for scene, fid in enumerate(fids)}
    scene = [np.array([number[fid] for fid in file.fids], np.int32)[file.scene] for file in files]
    return Spectra(
        files=files,
        wavelength_nm=files[0].wavelength_nm,
        labels=np.concatenate([file.labels for file in files]),
        scene=np.concatenate(scene),
        fids=fids,
        indices=np.concatenate([file.indices for file in files]),
    )


def _check_bands(first: CachedFile, other: CachedFile) -> None:
    same = "only files of the same bands can be used together"
    if first.wavelength_nm.shape != other.wavelength_nm.shape:
        bands, others = len(first.wavelength_nm), len(other.wavelength_nm)
        raise InputError(f"{other.source} has {others} bands but {first.source} {bands}; {same}")
    off = np.abs(first.wavelength_nm - other.wavelength_nm).max()
    if off > _SAME_BANDS_NM:
        raise InputError(f"{other.source}: band centres differ from {first.source} by up to {off:.3g} nm; {same}")
