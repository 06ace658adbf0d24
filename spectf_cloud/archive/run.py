"""A run over many granules: finds what is due, has an engine do it, updates ledger and catalogue."""

from __future__ import annotations

import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from spectf_cloud.archive.engine import Engine, Serial
from spectf_cloud.archive.fingerprint import recipe_of
from spectf_cloud.archive.integrity import all_there
from spectf_cloud.archive.job import ArchiveJob
from spectf_cloud.archive.ledger import Ledger, Row, open_ledger
from spectf_cloud.archive.publish import Catalogue, publish
from spectf_cloud.archive.receipts import COLLECTION, Outcome, granule_folder
from spectf_cloud.archive.worker import Task, finished_before
from spectf_cloud.catalogue.granules import Granule
from spectf_cloud.catalogue.inputs import find_granules
from spectf_cloud.files import extras


@dataclass(frozen=True)
class Status:
    """Progress of a run. Rates count scenes masked in this run; None before the first."""

    done: int
    failed: int
    total: int
    scenes_per_hour: float | None = None
    seconds_left: float | None = None
    cloud_fraction: float | None = None


@dataclass(frozen=True)
class ArchiveReport:
    """Result of a run over the granules that it was given."""

    out: Path
    granules: int
    masked: int
    unchanged: int
    failed: int
    set_aside: int
    repeated: tuple[str, ...]
    seconds: float
    cloud_fraction: float | None
    catalogue: Catalogue | None


def run_archive(job: ArchiveJob, progress: Callable[[Status], None] | None = None) -> ArchiveReport:
    """Mask every granule that is missing, failed or stale.

    It may be killed at any moment: a granule is done once its receipt is in its folder, and a rerun copies the
    receipts into the ledger. Raises `SpectfError` for faults of the run as a whole; those of one granule are in the
    ledger.
    """
    start = time.monotonic()
    if job.engine == "dask":
        extras.need("dask", "masking on several workers (or use --engine serial)")
    recipe = recipe_of(job.settings)
    found = find_granules(job.sources, job.search)
    with open_ledger(job.out) as ledger:
        ledger.plan(found.granules, recipe)
        wanted = {granule.id: granule for granule in found.granules}
        due: list[Task] = []
        aside = 0
        for row in ledger.rows():
            if row.id in wanted and _is_due(row, recipe.key, job):
                due.append(_task(wanted[row.id], job, recipe.key))
            elif row.id in wanted:
                aside += row.state == "poison"
        tasks = [task for task in due if job.verify or not _taken_up(task, ledger)]
        total = len(wanted) - aside
        run = _Run(ledger, job.retries, total - len(tasks), total, progress)
        if tasks:
            with _engine(job, len(tasks)) as engine:
                run.work(engine, tasks)
        taken_up = len(due) - len(tasks)
        changed = run.ended or taken_up or not (job.out / COLLECTION).is_file()
        published = changed and extras.have("stac", "the catalogue of the masks")
        catalogue = publish(ledger, job.out) if published else None
        states = Counter(row.state for row in ledger.rows() if row.id in wanted)
    return ArchiveReport(
        out=job.out,
        granules=len(wanted),
        masked=run.masked,
        unchanged=states["done"] - run.masked,
        failed=states["failed"],
        set_aside=states["poison"],
        repeated=found.repeated,
        seconds=time.monotonic() - start,
        cloud_fraction=run.cloud_fraction,
        catalogue=catalogue,
    )


def _task(granule: Granule, job: ArchiveJob, recipe: str) -> Task:
    folder = granule_folder(job.out.resolve(), granule.id)
    scratch = job.scratch or Path(tempfile.gettempdir())
    time_limit_s = job.time_limit_s if job.engine == "dask" else None
    return Task(granule, folder, job.settings, recipe, scratch, job.verify, job.keep_stale, time_limit_s)


def _is_due(row: Row, recipe: str, job: ArchiveJob) -> bool:
    """Return whether a granule is missing, failed or stale, or is to be checked again."""
    if row.state == "poison":
        return job.retry_poison
    if row.state != "done" or job.verify:
        return True
    stale = row.recipe != recipe and not job.keep_stale
    if stale or not all_there(granule_folder(job.out, row.id), row.outputs):
        return True
    return not all(record.is_unchanged() for record in row.inputs.values())


def _taken_up(task: Task, ledger: Ledger) -> bool:
    """Note what a worker finished after the run that asked for it had died."""
    receipt = finished_before(task)
    if receipt is None:
        return False
    ledger.record(receipt)
    return True


def _engine(job: ArchiveJob, tasks: int) -> Engine:
    if job.engine == "serial":
        return Serial()
    from spectf_cloud.archive.dask_engine import Cluster, Dask, workers_here

    workers = None if job.scheduler else min(job.workers or workers_here(), tasks)
    return Dask(Cluster(job.scheduler, workers, dict(job.resources)))


class _Run:
    """The loop between an engine and the ledger."""

    def __init__(
        self, ledger: Ledger, retries: int, done: int, total: int, progress: Callable[[Status], None] | None
    ) -> None:
        self._ledger, self._retries, self._total, self._progress = ledger, retries, total, progress
        self._done, self._failed, self.ended = done, 0, 0
        self._began = time.monotonic()
        self._pixels = self._cloudy = 0.0
        self.masked = 0

    @property
    def cloud_fraction(self) -> float | None:
        """Cloud share of all pixels with data that this run masked; None without any."""
        return self._cloudy / self._pixels if self._pixels else None

    def work(self, engine: Engine, tasks: Iterable[Task]) -> None:
        waiting = deque(tasks)
        attempts: dict[str, int] = {}
        running = 0
        while waiting or running:
            while waiting and engine.room > 0:
                engine.submit(waiting.popleft())
                running += 1
            for task, outcome in engine.collect():
                running -= 1
                tried = attempts.pop(task.granule.id, 0) + 1
                self._ledger.record(outcome, attempted=not outcome.reused)
                if outcome.state == "failed" and not outcome.permanent and tried <= self._retries:
                    attempts[task.granule.id] = tried
                    waiting.append(task)
                else:
                    self._count(outcome)
            if self._progress:
                self._progress(self._status())

    def _count(self, outcome: Outcome) -> None:
        self.ended += not outcome.reused
        if outcome.state != "done":
            self._failed += 1
            return
        self._done += 1
        self.masked += not outcome.reused
        if outcome.cloud_fraction is not None:
            self._pixels += outcome.valid_pixels
            self._cloudy += outcome.valid_pixels * outcome.cloud_fraction

    def _status(self) -> Status:
        per_second = self.ended / max(time.monotonic() - self._began, 1e-9)
        left = self._total - self._done - self._failed
        return Status(
            done=self._done,
            failed=self._failed,
            total=self._total,
            scenes_per_hour=per_second * 3600 if self.ended else None,
            seconds_left=left / per_second if self.ended else None,
            cloud_fraction=self.cloud_fraction,
        )
