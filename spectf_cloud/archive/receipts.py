"""What came of one granule, and the receipt that a worker leaves beside its outputs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from spectf_cloud.catalogue.granules import acquired
from spectf_cloud.files.atomic import atomic_output
from spectf_cloud.weights import sha256_of

#: ``poison``: scenes that killed the process that masked them, time and again; set aside.
State = Literal["done", "failed", "poison"]
RECEIPT = "receipt.json"
#: The root of the catalogue, in the archive's folder.
COLLECTION = "collection.json"


@dataclass(frozen=True)
class FileRecord:
    """One file as it was: where, bytes, time of change (ns since 1970; None for an address), checksum."""

    path: str
    bytes: int
    changed_ns: int | None
    sha256: str

    def is_unchanged(self) -> bool:
        """Whether the file is there with its size and time; an address counts as unchanged."""
        if self.changed_ns is None:
            return True
        try:
            status = Path(self.path).stat()
        except OSError:
            return False
        return (status.st_size, status.st_mtime_ns) == (self.bytes, self.changed_ns)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of one granule.

    Attributes
    ----------
    state, error, permanent
        `error` says why it failed; a permanent one is not tried again in the same run.
    inputs, outputs
        By role and by kind; paths of outputs count from the granule's folder.
    seconds
        Wall-clock seconds: fetch, those of `DeployReport`, record (checksums, footprint), and whole.
    cloud_fraction
        Share of cloud among the pixels with data, 0 to 1; None without any.
    footprint
        GeoJSON geometry, or None where the files give no place.
    reused
        Whether it was found done rather than done now.
    grid
        Of the orthorectified products: ``code``, ``shape``, ``transform`` (as STAC's projection extension has them).
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
        """All fields."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Outcome:
        """Raises `ValueError`, `TypeError` or `KeyError` for anything that is no outcome."""
        fields = json.loads(text)
        for role in ("inputs", "outputs"):
            fields[role] = {name: FileRecord(**record) for name, record in fields[role].items()}
        return cls(**fields)


def record_file(path: Path, name: str | None = None, *, address: bool = False) -> FileRecord:
    """Size, time and checksum of a file now, under ``name``."""
    status = path.stat()
    return FileRecord(name or str(path), status.st_size, None if address else status.st_mtime_ns, sha256_of(path))


def read_receipt(folder: Path) -> Outcome | None:
    """The receipt in a granule's folder; None where there is none that can be read."""
    try:
        return Outcome.from_json((folder / RECEIPT).read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError, KeyError):
        return None


def write_receipt(folder: Path, outcome: Outcome) -> None:
    """The last file of a granule to be written: with it, the granule is done."""
    with atomic_output(folder / RECEIPT, overwrite=True) as temporary:
        temporary.write_text(outcome.to_json(), encoding="utf-8")


def granule_folder(out: Path, granule_id: str) -> Path:
    """Where a granule's outputs lie: by the day it was seen, so that no folder grows too large."""
    when = acquired(granule_id)
    return out / (f"{when:%Y/%m/%d}" if when else "undated") / granule_id


def place_in_table(output: Path, table: Path, out: Path) -> str:
    """How a table names an output: from its own folder where that is the archive's, ``out``, else absolute."""
    if table.absolute().parent.resolve() == out.resolve():
        return output.relative_to(out).as_posix()
    return str(output.absolute())
