"""What `deploy-many` adds to `deploy-pt`: both commands, whole, over the same full-size scenes, in turns.

    taskset -c 0 python -m evaluation.scaling.overhead [--weights W --irradiance E]

CPU seconds of all their processes, start-up and dask included; one worker, one thread. Adds `commands` to cost.json.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from evaluation.scaling.cost import FULL, HERE, scene_of

_TIME = re.compile(r"(?<=T)\d{6}(?=_)")


def cpu_of(command: list[str]) -> float:
    """CPU seconds of a command of ours and of all that it started."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "spectf_cloud", *command, "-q"], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def scenes(folder: Path, lines: int, count: int) -> Iterator[tuple[Path, Path]]:
    """The same granule under several names, some seconds apart: radiance and geometry."""
    granule = scene_of(folder, lines)
    pair = Path(granule.radiance), Path(granule.observation or "")
    (first,) = _TIME.findall(pair[0].name)
    for number in range(count):
        names = [path.with_name(_TIME.sub(f"{int(first) + number:06d}", path.name)) for path in pair]
        for path, name in zip(pair, names, strict=True):
            if number:
                os.link(path, name)
        yield names[0], names[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=FULL[0])
    parser.add_argument("--scenes", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--weights", default="builtin")
    parser.add_argument("--irradiance")
    chosen = parser.parse_args()
    options = ["--weights", chosen.weights]
    options += ["--irradiance", chosen.irradiance] if chosen.irradiance else []
    alone, many = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pairs = list(scenes(folder, chosen.lines, chosen.scenes))
        given = str(pairs[0][0].parent)
        for turn in range(chosen.rounds):
            out = folder / f"out{turn}"
            out.mkdir()
            alone.append(0.0)
            for number, (radiance, observation) in enumerate(pairs):
                named = [str(out / f"{number}.tif"), str(observation), str(radiance)]
                alone[-1] += cpu_of(["deploy-pt", *named, "--ortho", str(out / f"{number}_ortho.tif"), *options])
            many.append(
                cpu_of(["deploy-many", given, "--out", str(out / "many"), "--workers", "1", "--ortho", *options])
            )
    found = {
        "scenes": chosen.scenes,
        "lines": chosen.lines,
        "weights": chosen.weights,
        "deploy_pt_cpu_s": [round(value, 1) for value in alone],
        "deploy_many_cpu_s": [round(value, 1) for value in many],
        "added": round(median(many) / median(alone) - 1, 4),
    }
    costs = json.loads((HERE / "cost.json").read_text())
    (HERE / "cost.json").write_text(json.dumps(costs | {"commands": found}, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
