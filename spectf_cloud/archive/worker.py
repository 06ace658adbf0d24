"""One granule from its files to its outputs and receipt: the task that an engine hands to a worker."""

from __future__ import annotations

import faulthandler
import logging
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from spectf_cloud.archive.fingerprint import recipe_of
from spectf_cloud.archive.integrity import all_there, broken_output
from spectf_cloud.archive.job import Settings
from spectf_cloud.archive.receipts import RECEIPT, FileRecord, Outcome, State, read_receipt, record_file, write_receipt
from spectf_cloud.catalogue.downloads import local_files
from spectf_cloud.catalogue.granules import Granule, is_address
from spectf_cloud.dataset import open_scene
from spectf_cloud.errors import InputError, SpectfError, UsageError
from spectf_cloud.files.atomic import PREFIX
from spectf_cloud.files.extras import have
from spectf_cloud.files.file_lock import claim
from spectf_cloud.inference.kept import KeptBackend
from spectf_cloud.mapping.deploy import DeployJob, deploy
from spectf_cloud.mapping.memory import keep_freed_memory
from spectf_cloud.mapping.outputs import Products
from spectf_cloud.mapping.stopwatch import Stopwatch
from spectf_cloud.products.geotiff import crs_of
from spectf_cloud.products.thumbnail import write_thumbnail
from spectf_cloud.scene import Glt, Scene

logger = logging.getLogger(__name__)

#: A scene whose process died this many times is set aside.
MAX_CRASHES = 3
CLAIM = ".claim"
# One per worker process: the network is loaded for its first scene.
_kept_backend = KeptBackend()


@dataclass(frozen=True)
class Task:
    """Everything that a worker needs to know.

    `folder` is the granule's; `recipe` is the key that its outputs must have, unless `keep_stale`; after `time_limit_s`
    the process ends.
    """

    granule: Granule
    folder: Path
    settings: Settings
    recipe: str
    scratch: Path
    verify: bool = False
    keep_stale: bool = False
    time_limit_s: float | None = None


def process(task: Task) -> Outcome:
    """Mask a granule unless it is done, and return the outcome; faults of a scene are outcomes too, never raised.

    Only one process at a time works on a granule. The receipt is written last: a process that dies before leaves
    nothing that counts, and one that dies after has nothing left to do.
    """
    try:
        task.folder.mkdir(parents=True, exist_ok=True)
        with claim(task.folder / CLAIM) as attempts:
            assert attempts is not None
            return _still_good(task) or _attempt(task, attempts)
    except OSError as error:
        return _failure(task, f"{task.folder}: {error.strerror or error}", permanent=False)


def finished_before(task: Task) -> Outcome | None:
    """Return the receipt of this recipe, or of any if stale ones are kept; its inputs unchanged, its outputs there."""
    receipt = read_receipt(task.folder)
    if receipt is None or not all_there(task.folder, receipt.outputs):
        return None
    if receipt.recipe != task.recipe and not task.keep_stale:
        return None
    return receipt if all(record.is_unchanged() for record in receipt.inputs.values()) else None


def _still_good(task: Task) -> Outcome | None:
    """Return the receipt of an earlier run or another worker, if its outputs are what this run wants."""
    receipt = finished_before(task)
    if receipt is None:
        return None
    if task.verify and (reason := broken_output(task.folder, receipt.outputs)):
        logger.warning("%s: %s; redoing it", task.granule.id, reason)
        return None
    return replace(receipt, reused=True)


def _attempt(task: Task, attempts: IO[str]) -> Outcome:
    """Note the attempt in a file that only a crash leaves behind, then do the work."""
    died = crash_count(task)
    if died >= MAX_CRASHES:
        return quarantined(task, f"the process masking it died {died} times{timeout_hint(task)}")
    attempts.write(f"{_now()} {socket.gethostname()}\n")
    attempts.flush()
    (task.folder / RECEIPT).unlink(missing_ok=True)
    for leftover in task.folder.glob(f"{PREFIX}*"):
        leftover.unlink()
    import spectf_cloud.inference.predict  # noqa: F401 - PyTorch loads once per process, outside the time limit

    try:
        with _time_limit(task.time_limit_s):
            return _masked(task)
    except SpectfError as error:
        return _failure(task, str(error), permanent=isinstance(error, (InputError, UsageError)))
    except Exception as error:  # a scene must never end the run
        logger.debug("%s failed", task.granule.id, exc_info=True)
        return _failure(task, f"{task.granule.radiance}: {type(error).__name__}: {error}", permanent=False)


@contextmanager
def _time_limit(seconds: float | None) -> Iterator[None]:
    """End this process, with its stack on standard error, if the body takes longer; None sets no limit.

    A damaged file can keep the HDF5 library in a loop that holds the interpreter's lock, so no exception and no Python
    thread can end it. faulthandler's watchdog is a thread in C; a process has only one.
    """
    if seconds is None:
        yield
        return
    faulthandler.dump_traceback_later(seconds, exit=True, file=sys.__stderr__ or 2)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


def _masked(task: Task) -> Outcome:
    recipe = recipe_of(task.settings)
    if recipe.key != task.recipe:
        raise UsageError(
            f"{socket.gethostname()} has other weights or code (spectf-cloud {recipe.version}, {recipe.code}) than "
            "where the run was started; install the same on all workers"
        )
    if is_address(task.granule.radiance) and task.granule.observation is None:  # a fetched copy has no OBS next to it
        raise InputError(f"{task.granule.radiance}: no OBS file was given; name both files in a list")
    keep_freed_memory()
    watch = Stopwatch()
    start = time.perf_counter()
    with ExitStack() as files:
        with watch.stage("fetch"):
            radiance, observation = files.enter_context(local_files(task.granule, task.scratch))
        scene = open_scene(radiance, observation)
        glt = scene.glt()
        thumbnail = _output(task, "thumbnail.jpg")
        report = deploy(
            _job(task, scene, glt), backends=_kept_backend, also=lambda mask: write_thumbnail(mask, thumbnail)
        )
        with watch.stage("record"):
            inputs = _input_records(task.granule, scene)
            outputs = {
                kind: record_file(path, path.name) for kind, path in {**report.outputs, "thumbnail": thumbnail}.items()
            }
            place, grid = _footprint(scene, glt), _grid(scene, glt)
    seconds = {**watch.seconds, **report.seconds, "whole": time.perf_counter() - start}
    outcome = _outcome(
        task,
        "done",
        inputs=inputs,
        outputs=outputs,
        seconds={stage: round(spent, 3) for stage, spent in seconds.items()},
        lines=report.lines,
        samples=report.samples,
        valid_pixels=report.valid_pixels,
        cloud_fraction=report.cloud_fraction,
        footprint=place,
        grid=grid if task.settings.ortho else None,
        tags=dict(report.tags),
    )
    write_receipt(task.folder, outcome)
    return outcome


def _job(task: Task, scene: Scene, glt: Glt | None) -> DeployJob:
    """Return the job of the scene; without a GLT or map grid it has no orthorectified product."""
    settings = task.settings
    placed = glt is not None or scene.grid() is not None
    return DeployJob(
        out=_output(task, "mask.tif"),
        radiance=scene.image.path,
        observation=scene.observation.path if scene.observation else None,
        options=settings.options,
        products=Products(
            probability=settings.probability,
            ortho=_output(task, "ortho.tif") if settings.ortho and placed else None,
            netcdf=_output(task, "mask.nc") if settings.netcdf else None,
            quicklook=_output(task, "quicklook.png") if settings.quicklook else None,
        ),
        overwrite=True,
    )


def _output(task: Task, ending: str) -> Path:
    return task.folder / f"{task.granule.id}_{ending}"


def _input_records(granule: Granule, scene: Scene) -> dict[str, FileRecord]:
    """Return records of the data files under their given names; fetched files keep their address."""
    records = {}
    given_as = ("radiance", granule.radiance), ("observation", granule.observation or "")
    for (role, given), cube in zip(given_as, scene.cubes, strict=False):  # reflectance has no observation
        address = is_address(given)
        records[role] = record_file(cube.path, given if address else str(cube.path), address=address)
    return records


def _footprint(scene: Scene, glt: Glt | None) -> dict[str, Any] | None:
    """Return where the scene is on the ground; None if it has no location, or without the extra."""
    if not have("stac", "the footprints of the masks"):
        return None
    from spectf_cloud.products.footprint import footprint

    return footprint(scene, glt)


def _grid(scene: Scene, glt: Glt | None) -> dict[str, object] | None:
    """Return the grid of the orthorectified mask, as in STAC's projection extension; None without one."""
    place = scene.grid() or glt
    if place is None:
        return None
    shape = glt.line.shape if place is glt and glt is not None else (scene.lines, scene.samples)
    x0, dx_column, dx_row, y0, dy_column, dy_row = place.geotransform
    epsg = crs_of(place, scene.name).to_epsg()
    return {
        "code": None if epsg is None else f"EPSG:{epsg}",
        "shape": [int(size) for size in shape],
        "transform": [float(value) for value in (dx_column, dx_row, x0, dy_column, dy_row, y0)],
    }


def quarantined(task: Task, reason: str) -> Outcome:
    """Return the outcome of a scene that is set aside; forget its attempts, so that it can be retried."""
    (task.folder / CLAIM).unlink(missing_ok=True)
    error = f"{task.granule.radiance}: {reason}; set aside, retry with --retry-poison"
    return _failure(task, error, permanent=True, state="poison")


def crash_count(task: Task) -> int:
    """Return how many processes died while masking this scene."""
    try:
        return (task.folder / CLAIM).read_text(encoding="utf-8").count("\n")
    except FileNotFoundError:
        return 0


def timeout_hint(task: Task) -> str:
    """Return a possible reason why a process died: the time limit, if there is one."""
    return f" (or took more than {task.time_limit_s:g} s)" if task.time_limit_s else ""


def failed_in_engine(task: Task, error: BaseException) -> Outcome:
    """Return the outcome of a task that failed in the engine."""
    return _failure(task, f"{task.granule.radiance}: {type(error).__name__}: {error}", permanent=False)


def _failure(task: Task, error: str, *, permanent: bool, state: State = "failed") -> Outcome:
    return _outcome(task, state, error=" ".join(error.split()), permanent=permanent)


def _outcome(task: Task, state: State, **fields: Any) -> Outcome:
    here, granule = socket.gethostname(), task.granule
    return Outcome(
        granule=granule.id,
        recipe=task.recipe,
        state=state,
        radiance=granule.radiance,
        host=here,
        finished=_now(),
        **fields,
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
