"""Measure what one scene costs, stage by stage, and what the engine adds; fill scaling.md.

    python -m evaluation.scaling.cost GRANULES [--only PART ...] [--lines 640] [--weights W] [--irradiance E]

GRANULES are small ones, as of `evaluation.scaling.granules`. CPU seconds are counted, because the clock also counts
what others do on a shared machine.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any
from unittest import mock

import h5py
import numpy as np
import psutil

import spectf_cloud.archive.worker as worker
from evaluation import report
from evaluation.results import ROOT, Result, add, result
from evaluation.timer import alternate, seconds_of
from spectf_cloud.archive.dask_engine import Cluster, Dask
from spectf_cloud.archive.engine import Engine, Serial
from spectf_cloud.archive.fingerprint import recipe_of
from spectf_cloud.archive.job import Settings
from spectf_cloud.archive.ledger import open_ledger
from spectf_cloud.archive.publish import publish
from spectf_cloud.archive.receipts import granule_folder
from spectf_cloud.archive.worker import Task
from spectf_cloud.catalogue.granules import Granule
from spectf_cloud.catalogue.inputs import find_granules
from spectf_cloud.catalogue.search import Search
from spectf_cloud.inference.options import MaskOptions
from spectf_cloud.readers.emit import EmitCube
from spectf_cloud.simulation.config import SimulationConfig
from spectf_cloud.simulation.granule import simulate_granule

PAGE = ROOT / "evaluation/scaling.md"
SAMPLES, EMPTY_TASKS, SCENES = 1242, 200, 8
_TIME = re.compile(r"(?<=T)\d{6}(?=_)")
#: What a worker's scene goes through: where it is called, by which name, and the stage it is.
_STAGES: tuple[tuple[Any, str, str], ...] = (
    (EmitCube, "read", "read"),
    (sys.modules["spectf_cloud.mapping.deploy"], "_write", "write"),
    (worker, "deploy", "deploy"),
    (worker, "write_thumbnail", "thumbnail"),
    (worker, "record_file", "checksums"),
    (worker, "footprint", "footprint"),
    (worker, "write_receipt", "receipt"),
)


@dataclass(frozen=True)
class Job:
    """What is measured: small granules, settings, a folder for what comes of them, and lines of the large scenes."""

    granules: tuple[Granule, ...]
    settings: Settings
    folder: Path
    lines: int
    rounds: int

    @property
    def recipe(self) -> Any:
        """What decides whether outputs are stale."""
        return recipe_of(self.settings)

    def task(self, granule: Granule, folder: Path) -> Task:
        """Return the task of a granule whose outputs go into a folder."""
        return Task(granule, folder, self.settings, self.recipe.key, self.folder)


def scene_of(folder: Path, lines: int) -> Granule:
    """Write a granule as wide as EMIT's, its lines those of a small simulated scene over and over."""
    small = simulate_granule(folder / "small", SimulationConfig(lines=16, samples=SAMPLES, seed=5)).files
    target = folder / f"{lines}"
    target.mkdir(parents=True)
    for role in ("radiance", "observation"):
        shutil.copy(small[role], target)
        with h5py.File(target / small[role].name, "r+") as file:
            name = "radiance" if role == "radiance" else "obs"
            block, attributes = file[name][()], dict(file[name].attrs)
            del file[name]
            stored = file.create_dataset(name, (lines, *block.shape[1:]), "f4")
            stored.attrs["_FillValue"] = attributes["_FillValue"]
            for start in range(0, lines, len(block)):
                stored[start : start + len(block)] = block[: lines - start]
            for key in ("lon", "lat", "elev"):
                values = file[f"location/{key}"][()]
                del file[f"location/{key}"]
                file[f"location/{key}"] = np.resize(values, (lines, values.shape[1]))
    return find_granules([str(target)], Search()).granules[0]


def scene(job: Job) -> Iterator[Result]:
    """Measure one scene by stage; the network is loaded before."""
    granule = scene_of(job.folder / "scene", job.lines)
    task = job.task(granule, job.folder / "scene" / granule.id)
    worker.process(task)
    shutil.rmtree(task.folder)
    spent: dict[str, float] = {}
    with ExitStack() as stack:
        for target, name, stage in _STAGES:
            stack.enter_context(mock.patch.object(target, name, _counted(getattr(target, name), spent, stage)))
        outcome: list[Any] = []
        spent["all"] = seconds_of(lambda: outcome.append(worker.process(task))).cpu
    assert outcome[0].state == "done", outcome[0].error
    spent["compute"] = spent.pop("deploy") - spent["read"] - spent["write"] - spent["thumbnail"]
    size = f"{job.lines} lines of {SAMPLES} pixels, {job.recipe.weights.removeprefix('official:')}"
    for stage, value in spent.items():
        yield result("scene", size, stage, value=round(value, 3), unit="CPU s")


def _counted(call: Callable[..., Any], spent: dict[str, float], name: str) -> Callable[..., Any]:
    """Add up a call's CPU seconds under a name: of its thread where others compute meanwhile, else of the process."""
    clock = time.thread_time if name == "read" else time.process_time

    def counted(*arguments: Any, **options: Any) -> Any:
        start = clock()
        try:
            return call(*arguments, **options)
        finally:
            spent[name] = spent.get(name, 0.0) + clock() - start

    return counted


def engine(job: Job) -> Iterator[Result]:
    """Measure the ledger's work on a few granules, then tasks that are done already: only the engine is left."""
    out = job.folder / "ledger"
    outcomes = [worker.process(job.task(granule, granule_folder(out, granule.id))) for granule in job.granules]
    done = [outcome for outcome in outcomes if outcome.state == "done"]
    by_id = {granule.id: granule for granule in job.granules}
    with open_ledger(out) as ledger:
        for name, work in (
            ("plan", lambda: ledger.plan([by_id[outcome.granule] for outcome in done], job.recipe)),
            ("record", lambda: [ledger.record(outcome) for outcome in done]),
            ("publish", lambda: publish(ledger, out)),
        ):
            yield result("granule", name, value=round(1000 * seconds_of(work).cpu / len(done), 2), unit="CPU ms")
    ready = [job.task(by_id[one.granule], granule_folder(out, one.granule)) for one in done]
    tasks = [ready[i % len(ready)] for i in range(EMPTY_TASKS)]
    yield from _tasks("task", "serial", Serial(), tasks[:4], tasks)
    yield from _tasks("task", "dask, 1 worker", Dask(Cluster(workers=1)), tasks[:4], tasks)
    yield from _tasks("task", "dask, 2 workers", Dask(Cluster(workers=2)), tasks[:4], tasks)


def efficiency(job: Job) -> Iterator[Result]:
    """Measure the same short scenes on one worker and on two."""
    granule = scene_of(job.folder / "short", max(16, job.lines // 5))
    for workers in (1, 2):
        place = job.folder / f"efficiency{workers}"
        tasks = [job.task(granule, place / str(i)) for i in range(SCENES + 2 * workers)]
        name = f"{workers} worker{'s' * (workers > 1)}"
        yield from _tasks("efficiency", name, Dask(Cluster(workers=workers)), tasks[SCENES:], tasks[:SCENES])


def _tasks(what: str, name: str, engine: Engine, warm: list[Task], tasks: list[Task]) -> Iterator[Result]:
    """Yield milliseconds a task, by the clock and of all processes; the workers are up and have their network."""
    with engine:
        _through(engine, warm)
        began, cpu = time.monotonic(), _cpu_of_all()
        _through(engine, tasks)
        for kind, seconds in (("wall", time.monotonic() - began), ("cpu", _cpu_of_all() - cpu)):
            yield result(what, name, kind, value=round(1000 * seconds / len(tasks), 2), unit="ms")


def _through(engine: Engine, tasks: list[Task]) -> None:
    waiting, ended = list(tasks), 0
    while ended < len(tasks):
        while waiting and engine.room > 0:
            engine.submit(waiting.pop())
        finished = engine.collect()
        assert all(outcome.state == "done" for _, outcome in finished)
        ended += len(finished)


def _cpu_of_all() -> float:
    """Return the CPU seconds of this process and its living children so far."""
    here = psutil.Process()
    times = [process.cpu_times() for process in (here, *here.children(recursive=True))]
    return sum(each.user + each.system for each in times)


def commands(job: Job) -> Iterator[Result]:
    """Measure whole commands over two scenes in turns, start-up and dask included: deploy-pt, and deploy-many."""
    pairs = list(_same_scene_twice(job.folder / "commands", job.lines))
    options = ["--weights", job.settings.weights, "-q"]
    options += ["--irradiance", str(job.settings.irradiance)] if job.settings.irradiance else []

    def run(*arguments: object) -> None:
        subprocess.run([sys.executable, "-m", "spectf_cloud", *map(str, arguments), *options], check=True)

    def each(out: Path) -> None:
        for number, (radiance, observation) in enumerate(pairs):
            mask, ortho = out / f"{number}.tif", out / f"{number}_ortho.tif"
            run("deploy-pt", mask, observation, radiance, "--ortho", ortho)

    def many(out: Path) -> None:
        run("deploy-many", pairs[0][0].parent, "--out", out / "many", "--workers", 1, "--ortho")

    outs = [job.folder / f"out{turn}" for turn in range(job.rounds)]
    for out in outs:
        out.mkdir()
    found = alternate({"deploy-pt for each": each, "deploy-many, one worker": many}, outs)
    cpu = {name: [round(seconds.cpu, 1) for seconds in turns] for name, turns in found.items()}
    what = f"{len(pairs)} scenes of {job.lines} lines, {job.settings.weights}"
    for name, values in cpu.items():
        yield result("commands", what, name, value=values, unit="CPU s")
    alone, together = (median(values) for values in cpu.values())
    yield result("commands", what, "added", value=round(together / alone - 1, 4), unit="share")


def _same_scene_twice(folder: Path, lines: int) -> Iterator[tuple[Path, Path]]:
    """Yield radiance and geometry of one granule under two names, a second apart."""
    granule = scene_of(folder, lines)
    pair = Path(granule.radiance), Path(granule.observation or "")
    yield pair
    later = f"{int(_TIME.findall(pair[0].name)[0]) + 1:06d}"
    names = [path.with_name(_TIME.sub(later, path.name)) for path in pair]
    for path, name in zip(pair, names, strict=True):
        os.link(path, name)
    yield names[0], names[1]


PARTS = {"engine": engine, "scene": scene, "efficiency": efficiency, "commands": commands}


def main() -> None:
    """Measure the parts asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("granules", type=Path)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--few", type=int, default=40, help="granules for the engine's cost")
    parser.add_argument("--lines", type=int, default=640)
    parser.add_argument("--rounds", type=int, default=3, help="of whole commands")
    parser.add_argument("--weights", default="builtin")
    parser.add_argument("--irradiance", type=Path)
    parser.add_argument("--out", type=Path, default=PAGE.with_suffix("") / "scaling.json")
    asked = parser.parse_args()
    granules = find_granules([str(asked.granules)], Search()).granules[: asked.few]
    for part in asked.only:
        with tempfile.TemporaryDirectory() as folder:
            settings = Settings(MaskOptions(asked.weights, asked.irradiance), ortho=True)
            for one in PARTS[part](Job(granules, settings, Path(folder), asked.lines, asked.rounds)):
                print(one.name, report.shown(one.number, one.unit), one.unit, flush=True)
                add(asked.out, [one])
    report.main([PAGE])


if __name__ == "__main__":
    main()
