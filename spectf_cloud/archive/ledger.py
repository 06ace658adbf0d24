"""The ledger: one SQLite file next to the outputs, with the state of every granule."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from spectf_cloud.archive.fingerprint import Recipe
from spectf_cloud.archive.receipts import FileRecord, Outcome
from spectf_cloud.catalogue.granules import Granule
from spectf_cloud.errors import InputError, OutputError, SpectfError
from spectf_cloud.files.atomic import make_folder
from spectf_cloud.files.file_lock import claim

LEDGER = "ledger.sqlite"
_LOCK = ".ledger.lock"
_SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE recipe (key TEXT PRIMARY KEY, content TEXT NOT NULL);
CREATE TABLE granule (
    id TEXT PRIMARY KEY,
    radiance TEXT NOT NULL,
    observation TEXT,
    state TEXT NOT NULL CHECK (state IN ('pending', 'done', 'failed', 'poison')),
    attempts INTEGER NOT NULL DEFAULT 0,
    recipe TEXT REFERENCES recipe (key),
    error TEXT,
    inputs TEXT NOT NULL DEFAULT '{}',
    outputs TEXT NOT NULL DEFAULT '{}',
    seconds TEXT NOT NULL DEFAULT '{}',
    lines INTEGER,
    samples INTEGER,
    valid_pixels INTEGER,
    cloud_fraction REAL,
    footprint TEXT,
    grid TEXT,
    tags TEXT NOT NULL DEFAULT '{}',
    host TEXT,
    finished TEXT
);
CREATE INDEX granule_state ON granule (state);
"""
_JSON = ("inputs", "outputs", "seconds", "footprint", "grid", "tags")

RowState = Literal["pending", "done", "failed", "poison"]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One granule as the ledger knows it; fields as of `Outcome`, ``attempts`` over all runs."""

    id: str
    radiance: str
    observation: str | None
    state: RowState
    attempts: int
    recipe: str | None
    error: str | None
    inputs: dict[str, FileRecord]
    outputs: dict[str, FileRecord]
    seconds: dict[str, float]
    lines: int | None
    samples: int | None
    valid_pixels: int | None
    cloud_fraction: float | None
    footprint: dict[str, Any] | None
    grid: dict[str, Any] | None
    tags: dict[str, str]
    host: str | None
    finished: str | None


@dataclass(frozen=True)
class Counts:
    """Granules by state, and the cloud share of all pixels with data in finished ones (None without any)."""

    pending: int = 0
    done: int = 0
    failed: int = 0
    poison: int = 0
    valid_pixels: int = 0
    cloud_fraction: float | None = None

    @property
    def total(self) -> int:
        """Number of granules."""
        return self.pending + self.done + self.failed + self.poison


class Ledger:
    """An open ledger; every change is on disk when the call returns. Only one process may write."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        connection.row_factory = sqlite3.Row

    def plan(self, granules: Iterable[Granule], recipe: Recipe) -> None:
        """Note the granules of a run: new ones are pending, known ones get their current files."""
        with self._connection as change:
            change.execute("INSERT OR IGNORE INTO recipe VALUES (?, ?)", (recipe.key, recipe.to_json()))
            change.executemany(
                "INSERT INTO granule (id, radiance, observation, state) VALUES (?, ?, ?, 'pending') "
                "ON CONFLICT (id) DO UPDATE SET radiance = excluded.radiance, observation = excluded.observation",
                [(granule.id, granule.radiance, granule.observation) for granule in granules],
            )

    def record(self, outcome: Outcome, *, attempted: bool = True) -> None:
        """Note the outcome of a granule; ``attempted`` is false if it was already done."""
        fields = asdict(outcome)
        values = {
            name: json.dumps(fields[name]) if name in _JSON and fields[name] is not None else fields[name]
            for name in (
                *_JSON, "state", "recipe", "error", "lines", "samples", "valid_pixels", "cloud_fraction", "host",
                "finished",
            )
        }  # fmt: skip
        assignments = ", ".join(f"{name} = :{name}" for name in values)
        with self._connection as change:
            change.execute(
                f"UPDATE granule SET {assignments}, attempts = attempts + :attempted WHERE id = :id",
                {**values, "attempted": int(attempted), "id": outcome.granule},
            )

    def rows(self, *states: RowState) -> Iterator[Row]:
        """Yield granules by id, all or those in the given states."""
        condition = f" WHERE state IN ({', '.join('?' * len(states))})" if states else ""
        for row in self._connection.execute(f"SELECT * FROM granule{condition} ORDER BY id", states):
            yield _row(row)

    def counts(self) -> Counts:
        """Return how many granules are in each state."""
        by_state = dict(self._connection.execute("SELECT state, count(*) FROM granule GROUP BY state"))
        pixels, cloudy = self._connection.execute(
            "SELECT coalesce(sum(valid_pixels), 0), sum(cloud_fraction * valid_pixels) "
            "FROM granule WHERE state = 'done'"
        ).fetchone()
        return Counts(**by_state, valid_pixels=pixels, cloud_fraction=cloudy / pixels if pixels else None)

    def recipes(self) -> dict[str, dict[str, Any]]:
        """Return every recipe that made outputs, by key."""
        return {key: json.loads(content) for key, content in self._connection.execute("SELECT * FROM recipe")}


@contextmanager
def open_ledger(folder: Path) -> Iterator[Ledger]:
    """Open the ledger of an output folder for this process alone to write; create it if missing.

    Raises `OutputError` if another run holds it or it cannot be made, `InputError` if it is damaged.
    """
    try:
        make_folder(folder)
        with claim(folder / _LOCK, wait=False) as mine:
            if mine is None:
                raise OutputError(f"{folder} is in use by another run; wait until it ends or choose another --out")
            with _connected(folder / LEDGER, "rwc") as ledger:
                yield ledger
    except OSError as error:
        raise OutputError(f"{folder}: cannot hold a ledger: {error.strerror or error}") from error


@contextmanager
def read_ledger(folder: Path) -> Iterator[Ledger]:
    """Open the ledger of an output folder read-only, even during a run. Raises `InputError` if there is none."""
    path = folder / LEDGER
    if not path.is_file():
        raise InputError(f"{folder} has no ledger ({LEDGER}); give the --out folder of deploy-many")
    with _connected(path, "ro") as ledger:
        yield ledger


@contextmanager
def _connected(path: Path, mode: str) -> Iterator[Ledger]:
    try:
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode={mode}", uri=True, timeout=60.0)
        try:
            _prepare(connection, path, new=mode == "rwc")
            yield Ledger(connection)
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        raise InputError(f"{path}: the ledger cannot be used ({error}); move it away to start a new one") from error


def _prepare(connection: sqlite3.Connection, path: Path, *, new: bool) -> None:
    found = connection.execute("PRAGMA user_version").fetchone()[0]
    if found == 0 and new:
        with connection:
            connection.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {_SCHEMA_VERSION}; COMMIT;")
    elif found != _SCHEMA_VERSION:
        raise SpectfError(
            f"{path}: the ledger has version {found}, this spectf-cloud writes {_SCHEMA_VERSION}; use another --out"
        )


def _row(row: sqlite3.Row) -> Row:
    fields = dict(row)
    for name in _JSON:
        fields[name] = None if fields[name] is None else json.loads(fields[name])
    for name in ("inputs", "outputs"):
        fields[name] = {role: FileRecord(**record) for role, record in fields[name].items()}
    return Row(**fields)
