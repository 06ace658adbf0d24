"""Kill, starve and repeat runs, and add what came of it to reliability.json and reliability.md.

    python -m evaluation.reliability [--only NAME ...] [--fuzz FOLDER] [--small]

About ten minutes of one core; small disks need root. The fuzzers run apart (`evaluation.reliability.fuzz`); their
findings in FOLDER are counted. ``--small`` tries every check a few times and writes nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import spectf_cloud as sc
from evaluation import report
from evaluation.reference import reference_folder
from evaluation.results import ROOT, add, result
from evaluation.timer import seconds_of
from spectf_cloud.files.resources import resource
from spectf_cloud.readers.irradiance import read_irradiance
from spectf_cloud.readers.plausibility import doubts
from spectf_cloud.simulation.presets import PRESETS

import crashes
from fuzz_targets import TARGETS
from jobs import small_granule, small_weights, whole_job

PAGE = ROOT / "evaluation/reliability.md"
RESULTS = Path(__file__).with_name("reliability.json")
FILE_LIMITS = (0, 100, 500, 1000, 1500, 2000, 3000, 5000, 10_000, 20_000, 50_000, 10**7)
DISK_PAGES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 256)

Outcomes = Mapping[str, float]


def kills(folder: Path, few: bool) -> Outcomes:
    """Kill runs with signal 9 at random moments."""
    runs = 4 if few else 200
    seen = crashes.kill_runs(*_scene(folder), _new(folder, "kills"), runs, seed=1)
    return {
        "runs": runs,
        "killed before the end": seen["killed"],
        **{f"outputs {said}": seen[state] for said, state in _STATES.items()},
        "outputs in any other state": 5 * runs - sum(seen[state] for state in _STATES.values()),
        "strays, all gone after the next run": seen["strays left by the kill"],
    }


_STATES = {"absent": "absent", "old and whole": "old, whole", "new and whole": "new, whole"}


def file_sizes(folder: Path, few: bool) -> Outcomes:
    """Forbid files to grow beyond a size (RLIMIT_FSIZE)."""
    scene = _scene(folder)
    return Counter(
        f"exit code {crashes.limited_disk(*scene, _new(folder, f'limit{limit}'), limit)}"
        for limit in FILE_LIMITS[:: 6 if few else 1]
    )


def disks(folder: Path, few: bool) -> Outcomes:
    """Write onto disks from empty to large enough."""
    codes = Counter[str]()
    for pages in DISK_PAGES[:: 5 if few else 1]:
        code, there = crashes.full_disk(*_scene(folder), folder / "disk", 4096 * pages)
        assert not [name for name in there if name.startswith(".")], there
        codes[f"exit code {code}"] += 1
    return codes


def locked(folder: Path, few: bool) -> Outcomes:
    """Write into a folder that belongs to somebody else."""
    for place in {folder, *folder.parents} - {Path("/"), Path(tempfile.gettempdir())}:
        place.chmod(0o755)
    return {f"exit code {crashes.as_nobody(*_scene(folder), _new(folder, 'locked'))}": 1}


def writers(folder: Path, few: bool) -> Outcomes:
    """Let two processes write one output."""
    contents, outcomes = (b"a" * 200_000, b"b" * 300_000), Counter[str]()
    place = _new(folder, "writers")
    for number in range(4 if few else 100):
        overwrite = bool(number % 2)
        codes, content = crashes.two_writers(place / str(number), contents, overwrite=overwrite)
        assert content in contents
        first, second = sorted(codes)
        outcomes[f"{'with' if overwrite else 'without'} --overwrite, exit codes {first} and {second}"] += 1
    return outcomes


def false_alarms(folder: Path, few: bool) -> Outcomes:
    """Look for doubts about simulated scenes of every kind, and about real radiance: there may be none."""
    irradiance = read_irradiance(resource("irr.npy"))
    scenes = [
        small_granule(folder / f"{preset}{seed}", seed, 12, 24, preset)
        for preset in list(PRESETS)[:: 5 if few else 1]
        for seed in range(1 if few else 2)
    ]
    real = reference_folder() / "avirisng" / "ang20170323t202244_rdn_7000-7010"
    scenes += [real] if real.exists() else []
    alarms = [f"{path}: {doubt.text}" for path in scenes for doubt in doubts(sc.open_scene(path), irradiance)]
    print(*alarms, sep="\n")
    return {"scenes": len(scenes), "false alarms": len(alarms)}


def determinism(folder: Path, few: bool) -> Outcomes:
    """Compare the five products of processes with other hash seeds and thread counts."""
    scene, digests = _scene(folder), set()
    threads = (1, 2) if few else (1, 1, 2, 4)
    for number, count in enumerate(threads):
        out = _new(folder, f"same{number}")
        environment = os.environ | {"OMP_NUM_THREADS": str(count), "PYTHONHASHSEED": str(number)}
        subprocess.run(_command(scene, out), check=True, env=environment)
        digests.add(hashlib.sha256(b"".join(path.read_bytes() for path in sorted(out.iterdir()))).hexdigest())
    return {"processes": len(threads), "different results": len(digests)}


def load(folder: Path, few: bool) -> Outcomes:
    """Mask many scenes in this process."""
    scenes = 12 if few else 200
    first, last = crashes.resident_growth(*_scene(folder), _new(folder, "load"), scenes)
    return {"scenes": scenes, "resident after ten, MB": first / 1e6, "resident after all, MB": last / 1e6}


def network(folder: Path, few: bool) -> Outcomes:
    """Run where there is no network at all (``unshare -n``), and count the sockets that are asked for (``strace``)."""
    command, log = _command(_scene(folder), _new(folder, "net")), folder / "strace.log"
    found = {"exit code": subprocess.run(["unshare", "-n", *command], check=False).returncode}
    subprocess.run(["strace", "-f", "-qq", "-e", "trace=socket,connect", "-o", log, *command], check=True)
    asked = [row for row in log.read_text().splitlines() if "AF_INET" in row]
    print(*asked, sep="\n")
    return found | {"internet sockets asked for": len(asked)}


CHECKS: dict[str, tuple[str, Callable[[Path, bool], Outcomes]]] = {
    "kills": ("kill -9 at random moments, 5 outputs each", kills),
    "file_sizes": ("files may not grow beyond a size", file_sizes),
    "disks": ("disk of 4 kB to 1 MB", disks),
    "locked": ("read-only folder", locked),
    "writers": ("two processes, one output", writers),
    "false_alarms": ("plausibility of sound scenes", false_alarms),
    "determinism": ("processes with other threads and hash seeds", determinism),
    "load": ("scenes in one process", load),
    "network": ("a run without a network", network),
}


def count_findings(findings: Path) -> None:
    """Add the runs of the fuzzers by target, from their notes; minutes are of the clock, first note to last."""
    for target in TARGETS:
        notes = findings / f"{target}.runs"
        times = [float(row.split()[0]) for row in notes.read_text().splitlines()] if notes.exists() else [0.0]
        escaped = [path for path in (findings / target).iterdir() if not path.name.startswith("slow-unit")]
        minutes = round((times[-1] - times[0]) / 60, 1)
        numbers = {"runs": 100 * len(times), "minutes": minutes, "escaped": len(escaped)}
        add(RESULTS, [result("fuzz", target, name, value=value) for name, value in numbers.items()])


def _scene(folder: Path) -> tuple[Path, Path]:
    """Return a granule and its tiny network, made once."""
    made = folder / "scene"
    if not made.exists():
        small_granule(made)
        small_weights(made)
    return next(made.glob("EMIT_L1B_RAD_*.nc")), made / "small.pt"


def _command(scene: tuple[Path, Path], out: Path) -> list[str]:
    return [sys.executable, "-m", "spectf_cloud", *crashes.command(whole_job(scene[0], out, scene[1])), "-q"]


def _new(folder: Path, name: str) -> Path:
    place = folder / name
    place.mkdir()
    return place


def _run(name: str, few: bool) -> None:
    what, check = CHECKS[name]
    outcomes: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="spectf-reliability-") as folder:
        seconds = seconds_of(lambda: outcomes.update(check(Path(folder), few)))
    print(f"{name}: {seconds.cpu:.0f} s of CPU: {outcomes}", flush=True)
    if not few:
        rows = [result("tried", what, said, value=value) for said, value in outcomes.items()]
        add(RESULTS, rows, replace=[f"tried / {what}"])


def main() -> None:
    """Run the checks asked for and fill the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=CHECKS, default=list(CHECKS))
    parser.add_argument("--fuzz", type=Path, help="folder of findings to count")
    parser.add_argument("--small", action="store_true", help="try every check a few times, write nothing")
    options = parser.parse_args()
    logging.getLogger("spectf_cloud").setLevel(logging.CRITICAL)
    for name in options.only:
        _run(name, options.small)
    if options.fuzz:
        count_findings(options.fuzz)
    report.main([PAGE])


if __name__ == "__main__":
    main()
