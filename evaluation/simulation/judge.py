"""Judge simulated scenes by the published v0.1.0 network, which was trained on millions of real labelled EMIT spectra.

    SPECTF_REFERENCE=... python -m evaluation.simulation.judge [--full-size]

Writes simulation.json, fills simulation.md and draws its figures; ends with 1 where a bar is missed. Glint, snow and
ice are known confusions of the network and are reported, not judged; shadows are clear. ``--small`` judges two small
scenes and writes nothing.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from evaluation import report
from evaluation.reference import real_statistics, reference_folder
from evaluation.results import ROOT, Result, add, result
from evaluation.simulation import figures
from evaluation.simulation.judged import Pixels, auc, judge_scene, pool
from spectf_cloud.simulation.config import SimulationConfig
from spectf_cloud.simulation.surfaces import CLASSES

import adding
import white_worlds

PAGE = ROOT / "evaluation/simulation/simulation.md"
SCENES, SIDE = 12, 160
LIQUID, ICE = (0.3, 1, 3, 5, 10, 20, np.inf), (0.05, 0.2, 0.5, 1, np.inf)


class Judge:
    """Collects results, and the bars that were missed."""

    def __init__(self) -> None:
        self.results: list[Result] = []
        self.missed: list[str] = []

    def note(
        self, what: str, value: float, unit: str = "", least: float | None = None, most: float | None = None
    ) -> None:
        """Add a result whose name says its bar."""
        sign, bar = ("≥", least) if least is not None else ("≤", most)
        said = "" if bar is None else f" ({sign} {report.shown(bar, '' if unit == 'AUC' else unit)})"
        self.results.append(result("judge", what + said, value=float(value), unit=unit))
        if (least is not None and value < least) or (most is not None and value > most):
            self.missed.append(what)

    def share(self, what: str, flags: np.ndarray) -> None:
        """Add the share of pixels that the network flags as cloud; nothing where there are none."""
        if len(flags):
            self.results.append(result("flagged", what, "flagged as cloud", value=float(flags.mean()), unit="share"))
            self.results.append(result("flagged", what, "pixels", value=len(flags)))


def _bars(judge: Judge, scenes: list[Pixels]) -> None:
    every = pool(scenes)
    clear, cloud = every.clear & every.gated, every.cloud & every.gated
    judge.note(
        f"AUC, {len(scenes)} scenes pooled", auc(every.probability[cloud], every.probability[clear]), "AUC", 0.98
    )
    worst = min(auc(s.probability[s.cloud & s.gated], s.probability[s.clear & s.gated]) for s in scenes)
    judge.note("AUC, worst scene", worst, "AUC", 0.92)
    thick = cloud & (every.liquid >= 5)
    judge.note(
        "AUC, liquid optical thickness ≥ 5", auc(every.probability[thick], every.probability[clear]), "AUC", 0.99
    )
    judge.note("clear flagged, pooled", every.flagged[clear].mean(), "share", most=0.01)
    by_class = {number: every.flagged[clear & (every.surface == number)] for number in np.unique(every.surface[clear])}
    share, number = max((float(flags.mean()), number) for number, flags in by_class.items())
    judge.note(f"clear flagged, worst land class ({CLASSES[int(number) - 1]})", share, "share", most=0.05)
    judge.note("shadow flagged", every.flagged[clear & (every.shadow > 0.5)].mean(), "share", most=0.02)
    found = every.flagged[(every.liquid > 10) | (every.ice > 10)].mean()
    judge.note("optical thickness > 10 found", found, "share", 0.95)


def _physics(judge: Judge, scenes: list[Pixels]) -> None:
    every = pool(scenes)
    for what, low, high in (
        ("white ground under air: light sent back", *white_worlds.white_surface()),
        ("cloud of optical thickness 150 over it", *white_worlds.thick_cloud()),
    ):
        judge.note(f"{what}, least", low, least=0.97)
        judge.note(f"{what}, most", high, most=1.03)
    for side, difference in zip(("lowest", "highest"), adding.deviation(), strict=True):
        judge.note(f"layers against exact adding, 450–865 nm, no gas, {side}", difference, "share")
    inside = real_statistics().share_inside(every.radiance)
    judge.note("variance inside the 8 leading real components", inside, "", 0.98)
    judge.note("cloud pixels with tops under 3 km", (every.top_km[every.cloud] < 3).mean(), "share", 1 / 3)
    judge.note("median optical thickness of cloud", float(np.median((every.liquid + every.ice)[every.cloud])), most=15)
    judge.note("surface classes in a scene, fewest", min(len(np.unique(scene.surface)) for scene in scenes), least=4)


def _apart(judge: Judge, scenes: list[Pixels], own: list[Pixels]) -> None:
    """Report what is not judged."""
    every, other = pool(scenes), pool(own)
    for what, pixels in (
        ("AUC, glint and snow included", every),
        ("the same with the package's own irradiance both ways", other),
    ):
        judge.note(what, auc(pixels.probability[pixels.cloud], pixels.probability[pixels.clear]), "AUC")
    for number, name in enumerate(CLASSES, start=1):
        judge.share(f"clear flagged, {name}", every.flagged[every.clear & (every.surface == number)])
    only_liquid, only_ice = every.ice < 0.05, every.liquid < 0.05
    for what, values, only, edges in (("liquid", every.liquid, only_liquid, LIQUID), ("ice", every.ice, only_ice, ICE)):
        for low, high in pairwise(edges):
            inside = only & (values >= low) & (values < high)
            judge.share(f"found, {what} optical thickness {low:g}–{high:g}", every.flagged[inside])


def _full_size() -> Iterator[Result]:
    """Measure a full granule in a process of its own, one worker. A busy machine disturbs the clock, not the CPU."""
    with tempfile.TemporaryDirectory() as folder:
        code = (
            "import re, time; from pathlib import Path;"
            "from spectf_cloud.simulation.config import SimulationConfig;"
            "from spectf_cloud.simulation.granule import simulate_granule; start = time.perf_counter();"
            f"simulate_granule(Path({folder!r}), SimulationConfig());"
            # Not ru_maxrss: a child's begins at what its parent held.
            r"held = re.search(r'VmHWM:\s+(\d+)', open('/proc/self/status').read())[1];"
            "print(time.perf_counter() - start, time.process_time(), int(held) / 1024)"
        )
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    wall, cpu, mebibytes = (float(value) for value in run.stdout.split())
    yield result("full size", "CPU (< 60)", value=cpu, unit="s")
    yield result("full size", "wall", value=wall, unit="s")
    yield result("full size", "peak memory (≤ 1024)", value=mebibytes, unit="MiB")


def main() -> int:
    """Run everything asked for; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=81_000, help="seed of the first scene")
    parser.add_argument("--pixels", type=int, default=2000, help="pixels judged in each scene")
    parser.add_argument("--full-size", action="store_true", help="also simulate 1280 x 1242 pixels, timed")
    parser.add_argument("--small", action="store_true", help="two small scenes, print only")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    published = reference_folder() / "official/irr.npy"

    def judged(count: int, irradiance: Path | None) -> list[Pixels]:
        scenes, side = (2, 64) if asked.small else (SCENES, SIDE)
        configs = [SimulationConfig(side, side, asked.seed + n, "mixed", irradiance=irradiance) for n in range(scenes)]
        return [judge_scene(config, count)[1] for config in configs]

    scenes, judge = judged(asked.pixels, published), Judge()
    _bars(judge, scenes)
    _physics(judge, scenes)
    _apart(judge, scenes, judged(asked.pixels // 10, None))
    judge.results += _full_size() if asked.full_size else []
    for one in judge.results:
        print(one.name, report.shown(one.number, one.unit), one.unit)
    if not asked.small:
        add(PAGE.with_suffix(".json"), judge.results, replace=("judge", "flagged"))
        report.main([PAGE])
        figures.draw_all(PAGE.parent, pool(scenes), published)
    print(*(f"missed: {what}" for what in judge.missed), sep="\n")
    return bool(judge.missed)


if __name__ == "__main__":
    sys.exit(main())
