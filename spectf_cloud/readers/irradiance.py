"""Solar irradiance: reading a file of it, and which one reflectance was made with."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from spectf_cloud.errors import InputError
from spectf_cloud.files.atomic import atomic_output
from spectf_cloud.files.resources import ASTM_G173, PUBLISHED, bundled_irradiance, irradiance_file
from spectf_cloud.readers.hdf5_storage import read_attribute
from spectf_cloud.weights import Checkpoint, sha256_of

logger = logging.getLogger(__name__)

#: Name of the published irradiance in older files.
_OFFICIAL = "official"
#: A copy beside the weights that were trained with it.
COPY = "irradiance.npy"
#: Attributes of a file of labelled spectra: name and SHA-256 of the irradiance they were made with.
NAME_ATTRIBUTE, SHA256_ATTRIBUTE = "irradiance", "irradiance_sha256"
#: Published training data, made with the published irradiance, by the names of their files.
_PUBLISHED_SETS = ("spectf_cloud_lbox", "spectf_cloud_mmgis", "spectf_cloud_mmgis_2")
_MAX_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Irradiance:
    """A solar irradiance: the SHA-256 of its file says which, the name is for people."""

    name: str = field(compare=False)
    sha256: str

    def __str__(self) -> str:
        return f"{self.name} (sha256 {self.sha256[:12]}…)"


def named_irradiance(name: str) -> Irradiance:
    """Return the irradiance that `irradiance_file` finds, which is read. Raises `InputError`."""
    path = irradiance_file(name)
    if not path.is_file():
        raise InputError(f"{path}: no such solar irradiance; give a file, {PUBLISHED} or {ASTM_G173}")
    read_irradiance(path)
    return _called(path.name, sha256_of(path))


def irradiance_of_data(file: h5py.File, source: Path) -> Irradiance | None:
    """The irradiance that labelled spectra say they were made with, None where they do not. Raises `InputError`."""
    name, sha256 = (_text(file, attribute) for attribute in (NAME_ATTRIBUTE, SHA256_ATTRIBUTE))
    if sha256 is not None:
        if not re.fullmatch("[0-9a-fA-F]{64}", sha256):
            raise InputError(f"{source}: the attribute {SHA256_ATTRIBUTE} must be 64 hexadecimal digits")
        return _called(name or "unnamed", sha256.lower())
    if name in (PUBLISHED, ASTM_G173, _OFFICIAL):
        return named_irradiance(name)
    if name is not None:
        raise InputError(
            f"{source}: the attribute {NAME_ATTRIBUTE} is {name!r}; "
            f"give {PUBLISHED}, {ASTM_G173}, or {SHA256_ATTRIBUTE} with it"
        )
    return named_irradiance(PUBLISHED) if source.stem.lower() in _PUBLISHED_SETS else None


def irradiance_of_weights(weights: Checkpoint) -> Irradiance | None:
    """Return the irradiance that weights were trained with, None where nothing says it."""
    sha256 = weights.irradiance_sha256
    return None if sha256 is None else Irradiance(weights.irradiance_name, sha256)


def card_entry(irradiance: Irradiance | None, stated: str | None, folder: Path) -> dict[str, str]:
    """What a card says of the irradiance; a file ``stated`` that nobody else has is put beside the weights.

    Raises `OutputError`.
    """
    if irradiance is None:
        return {"name": "unknown"}
    entry = {"name": irradiance.name, "sha256": irradiance.sha256}
    if stated is None or irradiance.name in (PUBLISHED, ASTM_G173):
        return entry
    content = Path(stated).read_bytes()
    with atomic_output(folder / COPY, overwrite=True) as temporary:
        temporary.write_bytes(content)
    return entry | {"file": COPY}


def _called(name: str, sha256: str) -> Irradiance:
    """By the name that it has here, where it is known."""
    return Irradiance(bundled_irradiance(sha256) or name, sha256)


def _text(file: h5py.File, name: str) -> str | None:
    value = read_attribute(file, name)
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else None if value is None else str(value)


def read_irradiance(path: Path) -> NDArray[np.float64]:
    """(n, 2) float64: wavelength nm ascending, irradiance uW cm-2 nm-1. Raises `InputError`."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise InputError(f"{path} is larger than 64 MiB, too large for a solar irradiance")
        # Not np.load, which would open archives and pickles too.
        with path.open("rb") as stream:
            values = np.lib.format.read_array(stream, allow_pickle=False)
    except InputError:
        raise
    except Exception as error:  # the header is parsed as Python: whatever its tokens may raise
        raise InputError(f"{path}: the solar irradiance cannot be read ({error}); an (n, 2) .npy is needed") from error
    if (
        not isinstance(values, np.ndarray)
        or values.dtype.kind not in "fiu"
        or values.ndim != 2
        or values.shape[1] != 2
        or len(values) < 2
    ):
        raise InputError(f"{path}: the solar irradiance must be an (n, 2) array of nm and uW cm-2 nm-1")
    values = values.astype(np.float64)
    if not np.isfinite(values).all() or (np.diff(values[:, 0]) <= 0).any() or (values[:, 1] <= 0).any():
        raise InputError(f"{path}: wavelengths must ascend and irradiances be positive, finite numbers")
    return values
