"""What one scene costs, stage by stage, and what the engine adds: the numbers of scaling.md.

    python -m evaluation.scaling.cost FOLDER -- --weights W --irradiance E

Seconds of CPU are counted, for the machine is shared: wall-clock seconds count what others do. Writes cost.json here.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

import h5py
import numpy as np
import psutil

import spectf_cloud.archive.worker as worker
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

HERE = Path(__file__).parent
FULL = (1280, 1242)
_EMPTY_TASKS = 200
_SCENES = 8
_SHORT = 128
_FEW = 40


def scene_of(folder: Path, lines: int) -> Granule:
    """A granule as wide as EMIT's, its lines those of a small simulated scene over and over."""
    small = simulate_granule(folder / "small", SimulationConfig(lines=16, samples=FULL[1], seed=5)).files
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


def measured(call: Callable[..., Any], spent: dict[str, float], name: str) -> Callable[..., Any]:
    """The call, its CPU seconds added up under a name: of its thread where others compute meanwhile, else of all."""
    clock = time.thread_time if name == "read" else time.process_time

    def counted(*arguments: Any, **options: Any) -> Any:
        start = clock()
        try:
            return call(*arguments, **options)
        finally:
            spent[name] = spent.get(name, 0.0) + clock() - start

    return counted


def cost_of_a_scene(granule: Granule, settings: Settings, out: Path) -> dict[str, float]:
    """CPU seconds of one scene by stage; the network is loaded before."""
    task = Task(granule, out / granule.id, settings, recipe_of(settings).key, out)
    worker.process(task)
    shutil.rmtree(task.folder)
    spent: dict[str, float] = {}
    with ExitStack() as stack:
        for target, name, stage in (
            (EmitCube, "read", "read"),
            (sys.modules["spectf_cloud.mapping.deploy"], "_write", "write"),
            (worker, "deploy", "deploy"),
            (worker, "write_thumbnail", "thumbnail"),
            (worker, "record_file", "checksums"),
            (worker, "footprint", "footprint"),
            (worker, "write_receipt", "receipt"),
        ):
            call = measured(getattr(target, name), spent, stage)
            stack.enter_context(mock.patch.object(target, name, call))
        start = time.process_time()
        outcome = worker.process(task)
        spent["all"] = time.process_time() - start
    assert outcome.state == "done", outcome.error
    spent["compute"] = spent.pop("deploy") - spent["read"] - spent["write"] - spent["thumbnail"]
    return {name: round(value, 3) for name, value in spent.items()}


def cost_of_tasks(engine: Engine, warm: list[Task], tasks: list[Task]) -> dict[str, float]:
    """Milliseconds a task, wall clock and CPU of all processes; the workers are up and have their network.

    With tasks that are done already, nothing is left but the engine.
    """
    with engine:
        _through(engine, warm)
        began, cpu = time.monotonic(), _cpu_of_all()
        _through(engine, tasks)
        return {
            "wall_ms": round(1000 * (time.monotonic() - began) / len(tasks), 2),
            "cpu_ms": round(1000 * (_cpu_of_all() - cpu) / len(tasks), 2),
        }


def _through(engine: Engine, tasks: list[Task]) -> None:
    waiting, ended = list(tasks), 0
    while ended < len(tasks):
        while waiting and engine.room > 0:
            engine.submit(waiting.pop())
        finished = engine.collect()
        assert all(outcome.state == "done" for _, outcome in finished)
        ended += len(finished)


def _cpu_of_all() -> float:
    """CPU seconds of this process and its children so far."""
    here = psutil.Process()
    times = [process.cpu_times() for process in (here, *here.children(recursive=True))]
    return sum(each.user + each.system for each in times)


def efficiency(granule: Granule, settings: Settings, folder: Path) -> dict[str, dict[str, float]]:
    """The same scenes on one worker and on two: CPU and wall-clock milliseconds a scene."""
    recipe = recipe_of(settings).key
    found = {}
    for workers in (1, 2):
        tasks = [
            Task(granule, folder / f"e{workers}" / str(i), settings, recipe, folder)
            for i in range(_SCENES + 2 * workers)
        ]
        found[str(workers)] = cost_of_tasks(Dask(Cluster(workers=workers)), tasks[_SCENES:], tasks[:_SCENES])
    return found


def cost_of_the_ledger(granules: tuple[Granule, ...], settings: Settings, folder: Path) -> dict[str, float]:
    """CPU milliseconds a granule of planning, recording and publishing."""
    recipe = recipe_of(settings)
    out = folder / "ledger"
    tasks = [Task(g, granule_folder(out, g.id), settings, recipe.key, folder) for g in granules[:_FEW]]
    outcomes = [worker.process(task) for task in tasks]
    done = [outcome for outcome in outcomes if outcome.state == "done"]
    spent = {}
    with open_ledger(out) as ledger:
        for name, work in (
            ("plan", lambda: ledger.plan([g for g in granules if g.id in {o.granule for o in done}], recipe)),
            ("record", lambda: [ledger.record(outcome) for outcome in done]),
            ("publish", lambda: publish(ledger, out)),
        ):
            start = time.process_time()
            work()
            spent[f"{name}_ms"] = round(1000 * (time.process_time() - start) / len(done), 2)
    return spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("granules", type=Path, help="small granules, as of evaluation.scaling.granules")
    parser.add_argument("--lines", type=int, default=FULL[0])
    parser.add_argument("--weights", default="builtin")
    parser.add_argument("--irradiance", type=Path)
    arguments = parser.parse_args()
    settings = Settings(MaskOptions(arguments.weights, arguments.irradiance), ortho=True)
    granules = find_granules([str(arguments.granules)], Search()).granules
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found: dict[str, Any] = {
            "measured": f"{datetime.now(UTC):%Y-%m-%d}",
            "cores": os.cpu_count(),
            "load": round(os.getloadavg()[0], 1),
            "weights": recipe_of(settings).choices["weights"],
            "lines": arguments.lines,
            "samples": FULL[1],
        }
        found["ledger"] = cost_of_the_ledger(granules, settings, folder)
        recipe = recipe_of(settings).key
        done = [path.parent for path in (folder / "ledger").rglob("receipt.json")]
        by_id = {granule.id: granule for granule in granules}
        tasks = [
            Task(by_id[done[i % len(done)].name], done[i % len(done)], settings, recipe, folder)
            for i in range(_EMPTY_TASKS)
        ]
        found["serial"] = cost_of_tasks(Serial(), tasks[:4], tasks)
        for workers in (1, 2):
            found[f"dask_{workers}"] = cost_of_tasks(Dask(Cluster(workers=workers)), tasks[:4], tasks)
        scene = scene_of(folder, arguments.lines)
        found["scene_cpu_s"] = cost_of_a_scene(scene, settings, folder)
        found["efficiency"] = efficiency(scene_of(folder / "short", _SHORT), settings, folder)
    before = json.loads((HERE / "cost.json").read_text())  # overhead.py adds to it
    (HERE / "cost.json").write_text(json.dumps(before | found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
