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
from spectf_cloud.archive.receipts import RECEIPT, FileRecord, Outcome, read_receipt, record_file, write_receipt
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

#: A scene that was begun so often and never ended, because its process died, is set aside.
DEATHS_ALLOWED = 3
CLAIM = ".claim"
# One in each worker process: the network is loaded for its first scene.
_kept_backend = KeptBackend()


@dataclass(frozen=True)
class Task:
    """All that a worker needs to know.

    `folder` is the granule's own; `recipe` the key that its outputs shall have; beyond `time_limit_s` the process ends.
    """

    granule: Granule
    folder: Path
    settings: Settings
    recipe: str
    scratch: Path
    verify: bool = False
    time_limit_s: float | None = None


def process(task: Task) -> Outcome:
    """Mask a granule, or find it masked already; never raises for what a scene can do wrong.

    Only one process at a time works on a granule. The receipt is written last: whatever dies before leaves nothing
    that counts, whatever dies after has nothing to do again.
    """
    try:
        task.folder.mkdir(parents=True, exist_ok=True)
        with claim(task.folder / CLAIM) as attempts:
            assert attempts is not None
            return _still_good(task) or _attempt(task, attempts)
    except OSError as error:
        return _failure(task, f"{task.folder}: {error.strerror or error}", permanent=False)


def finished_before(task: Task) -> Outcome | None:
    """The receipt of this recipe, if its inputs have not changed and its outputs are there."""
    receipt = read_receipt(task.folder)
    if receipt is None or receipt.recipe != task.recipe or not all_there(task.folder, receipt.outputs):
        return None
    return receipt if all(record.is_unchanged() for record in receipt.inputs.values()) else None


def _still_good(task: Task) -> Outcome | None:
    """The receipt of an earlier run or of another worker, if its outputs are what this run wants."""
    receipt = finished_before(task)
    if receipt is None:
        return None
    if task.verify and (reason := broken_output(task.folder, receipt.outputs)):
        logger.warning("%s: %s; done again", task.granule.id, reason)
        return None
    return replace(receipt, reused=True)


def _attempt(task: Task, attempts: IO[str]) -> Outcome:
    """Note the attempt where only death leaves it, then do the work."""
    died = deaths(task)
    if died >= DEATHS_ALLOWED:
        return poisoned(task, f"the process masking it died {died} times{perhaps(task)}")
    attempts.write(f"{_now()} {socket.gethostname()}\n")
    attempts.flush()
    (task.folder / RECEIPT).unlink(missing_ok=True)
    for leftover in task.folder.glob(f"{PREFIX}*"):
        leftover.unlink()
    import spectf_cloud.inference.predict  # noqa: F401 - PyTorch loads once a process, and not on the scene's time

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
    """End this process, with its stack on standard error, where the body takes longer; None sets no limit.

    A damaged file can keep the HDF5 library in a loop that holds the interpreter's lock, where no exception and no
    Python thread can reach. faulthandler's watch is a thread in C; there is one in a process.
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
    if is_address(task.granule.radiance) and task.granule.observation is None:  # beside a copy there is never one
        raise InputError(f"{task.granule.radiance}: no OBS file was given with it; name both in a list")
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
    outcome = Outcome(
        granule=task.granule.id,
        recipe=task.recipe,
        state="done",
        radiance=task.granule.radiance,
        host=socket.gethostname(),
        finished=_now(),
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
    """The scene as ``deploy-pt`` would be told; without a table or grid there is no orthorectified product."""
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
    """Of the data files, under the names they were given by; fetched ones are known by their address."""
    records = {}
    given_as = ("radiance", granule.radiance), ("observation", granule.observation or "")
    for (role, given), cube in zip(given_as, scene.cubes, strict=False):  # reflectance has no observation
        address = is_address(given)
        records[role] = record_file(cube.path, given if address else str(cube.path), address=address)
    return records


def _footprint(scene: Scene, glt: Glt | None) -> dict[str, Any] | None:
    """Return where the scene is on the ground; None where it has no place, or without the extra."""
    if not have("stac", "the footprints of the masks"):
        return None
    from spectf_cloud.products.footprint import footprint

    return footprint(scene, glt)


def _grid(scene: Scene, glt: Glt | None) -> dict[str, object] | None:
    """Of the orthorectified mask, as STAC's projection extension describes it."""
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


def poisoned(task: Task, reason: str) -> Outcome:
    """The outcome of a scene that is set aside; its attempts are forgotten, so that it can be asked for again."""
    (task.folder / CLAIM).unlink(missing_ok=True)
    error = f"{task.granule.radiance}: {reason}; set aside, try again with --retry-poison"
    return replace(_failure(task, error, permanent=True), state="poison")


def deaths(task: Task) -> int:
    """How often this scene was begun and never ended."""
    try:
        return (task.folder / CLAIM).read_text(encoding="utf-8").count("\n")
    except FileNotFoundError:
        return 0


def perhaps(task: Task) -> str:
    """Why a process may have died that nobody killed."""
    return f" (or took more than {task.time_limit_s:g} s)" if task.time_limit_s else ""


def lost(task: Task, error: BaseException) -> Outcome:
    """The outcome of a task of which the engine knows only that it failed."""
    return _failure(task, f"{task.granule.radiance}: {type(error).__name__}: {error}", permanent=False)


def _failure(task: Task, error: str, *, permanent: bool) -> Outcome:
    return Outcome(
        granule=task.granule.id,
        recipe=task.recipe,
        state="failed",
        radiance=task.granule.radiance,
        host=socket.gethostname(),
        finished=_now(),
        error=" ".join(error.split()),
        permanent=permanent,
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
