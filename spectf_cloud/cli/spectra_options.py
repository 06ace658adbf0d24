"""Shared by the commands that read labelled spectra: options, and checks before anything large is imported."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from spectf_cloud.cli.fields import Shown
from spectf_cloud.errors import InputError

DATASET = Shown("HDF5 files of labelled spectra.", argument=True)
TrustInput = Annotated[
    bool,
    typer.Option("--trust-input", help="Only warn about implausible data, and leave out unusable spectra."),
]


def check_training_inputs(datasets: Sequence[Path], irradiance: str | None, *others: Path | None) -> None:
    """Raise `InputError` for missing or wrong files; what the spectra hold is checked when they are opened."""
    import h5py

    from spectf_cloud.readers.irradiance import named_irradiance

    for path in filter(None, (*datasets, *others)):
        if not path.exists():
            raise InputError(f"{path}: no such file; check its name and folder")
        if not os.access(path, os.R_OK):
            raise InputError(f"{path}: cannot be read; check its permissions")
    for path in datasets:
        if not h5py.is_hdf5(path):
            raise InputError(f"{path} is not an HDF5 file of labelled spectra; check its name, or fetch it again")
    if irradiance is not None:
        named_irradiance(irradiance)
