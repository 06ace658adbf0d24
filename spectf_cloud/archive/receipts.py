"""The outcome of one granule, and the receipt that a worker leaves next to its outputs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from spectf_cloud.catalogue.granules import acquired
from spectf_cloud.files.atomic import atomic_output
from spectf_cloud.weights import sha256_of

#: ``poison``: a scene that repeatedly crashed the process masking it, and is set aside.
State = Literal["done", "failed", "poison"]
RECEIPT = "receipt.json"
#: The root of the catalogue, in the archive's folder.
COLLECTION = "collection.json"


@dataclass(frozen=True)
class FileRecord:
    """One file as recorded: path, bytes, modification time (ns since 1970; None for an address), checksum."""

    path: str
    bytes: int
    changed_ns: int | None
    sha256: str

    def is_unchanged(self) -> bool:
        """Return whether the file still has its size and time; an address counts as unchanged."""
        if self.changed_ns is None:
            return True
        try:
            status = Path(self.path).stat()
        except OSError:
            return False
        return (status.st_size, status.st_mtime_ns) == (self.bytes, self.changed_ns)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The outcome of one granule.

    Attributes
    ----------
    state, error, permanent
        `error` says why it failed; a permanent failure is not retried in the same run.
    inputs, outputs
        By role and by kind; paths of outputs are relative to the granule's folder.
    seconds
        Wall-clock seconds: fetch, those of `DeployReport`, record (checksums, footprint), and whole.
    cloud_fraction
        Share of cloud among the pixels with data, 0 to 1; None without any.
    footprint
        GeoJSON geometry, or None if the files give no location.
    reused
        Whether it was already done rather than done now.
    grid
        Grid of the orthorectified products: ``code``, ``shape``, ``transform``, as in STAC's projection extension.
    """

    granule: str
    recipe: str
    state: State
    radiance: str
    host: str
    finished: str
    error: str | None = None
    permanent: bool = False
    inputs: Mapping[str, FileRecord] = field(default_factory=dict)
    outputs: Mapping[str, FileRecord] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    lines: int = 0
    samples: int = 0
    valid_pixels: int = 0
    cloud_fraction: float | None = None
    footprint: Mapping[str, Any] | None = None
    grid: Mapping[str, Any] | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    reused: bool = False

    def to_json(self) -> str:
        """Return all fields as JSON."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Outcome:
        """Read an outcome back. Raises `ValueError`, `TypeError` or `KeyError` for anything else."""
        fields = json.loads(text)
        for role in ("inputs", "outputs"):
            fields[role] = {name: FileRecord(**record) for name, record in fields[role].items()}
        return cls(**fields)


def record_file(path: Path, name: str | None = None, *, address: bool = False) -> FileRecord:
    """Record the current size, time and checksum of a file, under ``name``."""
    status = path.stat()
    return FileRecord(name or str(path), status.st_size, None if address else status.st_mtime_ns, sha256_of(path))


def read_receipt(folder: Path) -> Outcome | None:
    """Read the receipt in a granule's folder; None if there is no readable one."""
    try:
        return Outcome.from_json((folder / RECEIPT).read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError, KeyError):
        return None


def write_receipt(folder: Path, outcome: Outcome) -> None:
    """Write the last file of a granule: with it, the granule is done."""
    with atomic_output(folder / RECEIPT, overwrite=True) as temporary:
        temporary.write_text(outcome.to_json(), encoding="utf-8")


def granule_folder(out: Path, granule_id: str) -> Path:
    """Return the folder of a granule's outputs: by acquisition day, so that no folder grows too large."""
    when = acquired(granule_id)
    return out / (f"{when:%Y/%m/%d}" if when else "undated") / granule_id


def place_in_table(output: Path, table: Path, out: Path) -> str:
    """Return an output's path in a table: relative if the table is in the archive's folder ``out``, else absolute."""
    if table.absolute().parent.resolve() == out.resolve():
        return output.relative_to(out).as_posix()
    return str(output.absolute())
