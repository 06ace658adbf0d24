"""Everything that reliability.md reports, done once: writes reliability.json and reliability.md.

Run: python -m evaluation.reliability [--only NAME ...] [--fuzz FOLDER]
About ten minutes of one core, root for small disks; fuzzing is run apart (evaluation.reliability.fuzz) and its FOLDER
given here.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import spectf_cloud as sc
from evaluation.reliability import report
from spectf_cloud.files.resources import resource
from spectf_cloud.readers.irradiance import read_irradiance
from spectf_cloud.readers.plausibility import doubts
from spectf_cloud.simulation.presets import PRESETS

import crashes
from fuzz_targets import TARGETS
from jobs import small_granule, small_weights, whole_job

RESULTS = Path(__file__).with_name("reliability.json")
_SEEDS = 2


def kills(folder: Path, count: int = 200) -> dict[str, Any]:
    """Kill -9 at random moments."""
    seen = crashes.kill_runs(*_scene(folder), _new(folder, "kills"), count, seed=1)
    return {"runs": count, **seen}


def disks(folder: Path) -> dict[str, Any]:
    """Disks from empty to large enough, by RLIMIT_FSIZE and by a tmpfs where this may mount one."""
    scene, codes = _scene(folder), Counter[str]()
    for limit in (0, 100, 500, 1000, 1500, 2000, 3000, 5000, 10_000, 20_000, 50_000, 10**7):
        codes[f"file size limit: exit code {crashes.limited_disk(*scene, _new(folder, f'limit{limit}'), limit)}"] += 1
    if os.geteuid() == 0:
        for pages in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 256):
            code, there = crashes.full_disk(*scene, folder / "disk", 4096 * pages)
            assert not [name for name in there if name.startswith(".")], there
            codes[f"tmpfs: exit code {code}"] += 1
        codes[f"read-only folder: exit code {crashes.as_nobody(*_readable(scene), _new(folder, 'locked'))}"] += 1
    return dict(codes)


def writers(folder: Path, pairs: int = 100) -> dict[str, Any]:
    """Two processes, one output."""
    contents, outcomes = (b"a" * 200_000, b"b" * 300_000), Counter[str]()
    place = _new(folder, "writers")
    for number in range(pairs):
        overwrite = bool(number % 2)
        codes, content = crashes.two_writers(place / str(number), contents, overwrite=overwrite)
        assert content in contents
        outcomes[f"overwrite={overwrite}: exit codes {sorted(codes)}"] += 1
    return {"pairs": pairs, **outcomes}


def false_alarms(folder: Path, seeds: int = _SEEDS) -> dict[str, Any]:
    """Simulated scenes of every kind, and real radiance: none may be doubted."""
    irradiance, alarms, scenes = read_irradiance(resource("irr.npy")), [], 0
    for preset in PRESETS:
        for seed in range(seeds):
            radiance = small_granule(folder / f"{preset}{seed}", seed, 12, 24, preset)
            alarms += [f"{preset} {seed}: {doubt.text}" for doubt in doubts(sc.open_scene(radiance), irradiance)]
            scenes += 1
    reference = Path(os.environ.get("SPECTF_REFERENCE", "../shared/reference"))
    real = reference / "avirisng" / "ang20170323t202244_rdn_7000-7010"
    if real.exists():
        alarms += [f"real AVIRIS-NG: {doubt.text}" for doubt in doubts(sc.open_scene(real), irradiance)]
        scenes += 1
    return {"scenes": scenes, "alarms": alarms}


def determinism(folder: Path) -> dict[str, Any]:
    """Digests of the five products over processes, hash seeds and thread counts."""
    scene, digests = _scene(folder), Counter[str]()
    for number, threads in enumerate((1, 1, 2, 4)):
        out = _new(folder, f"same{number}")
        command = [sys.executable, "-m", "spectf_cloud", *crashes.command(whole_job(scene[0], out, scene[1])), "-q"]
        environment = os.environ | {"OMP_NUM_THREADS": str(threads), "PYTHONHASHSEED": str(number)}
        subprocess.run(command, check=True, env=environment)
        content = b"".join(path.read_bytes() for path in sorted(out.iterdir()))
        digests[hashlib.sha256(content).hexdigest()[:16]] += 1
    return {"runs": 4, "different results": len(digests)}


def load(folder: Path, scenes: int = 200) -> dict[str, Any]:
    """Resident memory over many scenes in this process."""
    grown = resident_growth(*_scene(folder), _new(folder, "load"), scenes)
    return {"scenes": scenes, "first_mb": grown.first_bytes / 1e6, "last_mb": grown.last_bytes / 1e6}


def network(folder: Path) -> dict[str, Any]:
    """A run where there is no network at all (``unshare -n``), and the sockets it asks for (``strace``)."""
    scene = _scene(folder)
    command = [
        sys.executable, "-m", "spectf_cloud", *crashes.command(whole_job(scene[0], _new(folder, "net"), scene[1])), "-q"
    ]  # fmt: skip
    log = folder / "strace.log"
    traced = subprocess.run(["strace", "-f", "-qq", "-e", "trace=socket,connect", "-o", log, *command], check=False)
    asked = [row for row in log.read_text().splitlines() if "AF_INET" in row] if log.exists() else None
    alone = subprocess.run(["unshare", "-n", *command], check=False).returncode
    return {"exit_code_without_network": alone, "traced": traced.returncode == 0, "internet_sockets": asked}


def supplies(folder: Path) -> dict[str, Any]:
    """Pins, licences, vulnerabilities."""
    rows = supply.dependencies()
    return {
        "packages": [[row.name, row.version, row.licence, row.pinned] for row in rows],
        "not pinned": [row.name for row in rows if not row.pinned],
        "strict": [row.name for row in rows if row.strict],
        "vulnerabilities": supply.audit(),
    }


CHECKS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "supply": supplies, "network": network, "determinism": determinism, "false_alarms": false_alarms,
    "writers": writers, "disks": disks, "kills": kills, "load": load,
}  # fmt: skip


def fuzzing(findings: Path) -> dict[str, Any]:
    """Runs of the fuzzers by target, from their notes; minutes are of the clock, first note to last."""
    result = {}
    for target in TARGETS:
        notes = findings / f"{target}.runs"
        times = [float(row.split()[0]) for row in notes.read_text().splitlines()] if notes.exists() else []
        found = [path.name for path in sorted((findings / target).iterdir()) if not path.name.startswith("slow-unit")]
        minutes = (times[-1] - times[0]) / 60 if times else 0
        result[target] = {"runs": 100 * len(times), "minutes": round(minutes, 1), "found": found}
    return result


def _scene(folder: Path) -> tuple[Path, Path]:
    """A granule and its tiny network, made once."""
    made = folder / "scene"
    if not made.exists():
        small_granule(made)
        small_weights(made)
    return next(made.glob("EMIT_L1B_RAD_*.nc")), made / "small.pt"


def _readable(scene: tuple[Path, Path]) -> tuple[Path, Path]:
    for place in scene[0].parents:
        if place != Path("/") and place.stat().st_uid == os.geteuid() and place != Path("/tmp"):
            place.chmod(0o755)
    return scene


def _new(folder: Path, name: str) -> Path:
    place = folder / name
    place.mkdir()
    return place


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", choices=CHECKS, default=list(CHECKS))
    parser.add_argument("--fuzz", type=Path, help="folder of findings to count")
    options = parser.parse_args()
    logging.getLogger("spectf_cloud").setLevel(logging.CRITICAL)
    for name in options.only:
        start = time.process_time()
        with tempfile.TemporaryDirectory(prefix="spectf-reliability-") as folder:
            result = CHECKS[name](Path(folder))
        print(f"{name}: {time.process_time() - start:.0f} s of this process: {str(result)[:300]}", flush=True)
        _save({name: result})
    if options.fuzz:
        _save({"fuzz": fuzzing(options.fuzz)})
    _save({})


def _save(new: dict[str, Any]) -> None:
    """Add to what was measured before, and write the page."""
    results = (json.loads(RESULTS.read_text()) if RESULTS.exists() else {}) | new
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    RESULTS.parent.with_suffix(".md").write_text(report.render(results), encoding="utf-8")


if __name__ == "__main__":
    main()
