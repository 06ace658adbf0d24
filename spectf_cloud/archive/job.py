"""The options of a run over many scenes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from spectf_cloud.catalogue.search import Search
from spectf_cloud.inference.options import MaskOptions

EngineName = Literal["dask", "serial"]


@dataclass(frozen=True)
class Settings:
    """How each scene of a run is masked, and which files besides the mask are written. Paths are absolute."""

    options: MaskOptions = field(default_factory=MaskOptions)
    probability: bool = False
    ortho: bool = False
    netcdf: bool = False
    quicklook: bool = False

    @property
    def products(self) -> tuple[str, ...]:
        """Return the kinds of files to write, besides the mask."""
        kinds = ("probability", "ortho", "netcdf", "quicklook")
        return tuple(kind for kind in kinds if getattr(self, kind))


@dataclass(frozen=True)
class ArchiveJob:
    """All options of ``deploy-many``.

    Attributes
    ----------
    sources, search
        See `find_granules`.
    out
        Folder of outputs, ledger and catalogue; on a cluster it must be the same for all workers.
    settings
        How each scene is masked.
    scheduler, workers, resources
        See `spectf_cloud.archive.dask_engine.Cluster`.
    retries
        Retries within the run after transient failures (network, disk, memory).
    verify
        Reopen the outputs of finished granules, and redo those that do not open.
    keep_stale
        Accept outputs of other weights, thresholds, products or code.
    retry_poison
        Retry scenes that were set aside.
    time_limit_s
        How long a scene may take on a worker of the ``dask`` engine before its process is ended.
    scratch
        Folder on each worker's own disk for fetched granules; by default the system's temporary folder.
    """

    sources: tuple[str, ...]
    out: Path
    settings: Settings = field(default_factory=Settings)
    search: Search = field(default_factory=Search)
    engine: EngineName = "dask"
    scheduler: str | None = None
    workers: int | None = None
    resources: tuple[tuple[str, float], ...] = ()
    retries: int = 2
    verify: bool = False
    keep_stale: bool = False
    retry_poison: bool = False
    time_limit_s: float = 7200.0
    scratch: Path | None = None
