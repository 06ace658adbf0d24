"""Input files of a command, looked for before anything large is imported."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from spectf_cloud.errors import InputError


def check_there(*paths: Path | None) -> None:
    """Raises `InputError` naming the first of these files that is not there."""
    for path in paths:
        if path is not None and not path.exists():
            raise InputError(f"{path}: no such file; check its name and folder")


def check_training_inputs(datasets: Sequence[Path], irradiance: str | None, *others: Path | None) -> None:
    """Raises `InputError` for labelled spectra, an irradiance or other files that are not there or are something else.

    What the spectra hold is judged where they are opened.
    """
    import h5py

    from spectf_cloud.readers.irradiance import named_irradiance

    check_there(*datasets, *others)
    for path in datasets:
        if not h5py.is_hdf5(path):
            raise InputError(f"{path} is not an HDF5 file, as labelled spectra are; check its name, or fetch it again")
    if irradiance is not None:
        named_irradiance(irradiance)
