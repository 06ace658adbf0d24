"""Runs that are killed, stopped or starved of disk, what they leave behind, and the memory that many runs take."""

from __future__ import annotations

import gc
import os
import random
import resource
import signal
import subprocess
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from spectf_cloud.__main__ import main
from spectf_cloud.files.atomic import atomic_output
from spectf_cloud.mapping.deploy import DeployJob, deploy
from spectf_cloud.mapping.outputs import Products

from jobs import whole_job

_NOBODY = 65534
_MAX_S = 300
#: Exit code of a child that was interrupted before the command itself took heed of signals.
EARLY = 71


def forked(work: Callable[[], object]) -> int:
    """Return the id of a child process that does the work and ends: 0 done, 70 an exception. It imports nothing."""
    child = os.fork()
    if child:
        return child
    signal.alarm(_MAX_S)  # a forked child that hangs fails instead of waiting without end
    code = 70
    try:
        result = work()
        code = result if isinstance(result, int) else 0
    except KeyboardInterrupt:
        code = EARLY
    except Exception:
        traceback.print_exc()
    finally:
        os._exit(code)
    return 0


def exit_code(child: int) -> int:
    """Wait for a child; return its exit code, or minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def kill_runs(radiance: Path, weights: Path, folder: Path, kills: int, seed: int = 0) -> Counter[str]:
    """Kill -9 a run at random moments; every output must be absent, the old one or the finished one.

    Every other run finds older outputs in its place. Returns how often each was met; raises `AssertionError` for
    anything else, and where the next run leaves a stray temporary.
    """
    chance, seen = random.Random(seed), Counter[str]()
    old, new = (
        _finished(radiance, weights, folder / name, threshold) for name, threshold in (("old", 0.2), ("new", 0.8))
    )
    started = time.monotonic()
    exit_code(forked(lambda: deploy(new)))
    usual = time.monotonic() - started
    for number in range(kills):
        out = folder / f"run{number}"
        out.mkdir()
        job = _into(new, out)
        if number % 2:
            for kind, path in job.outputs.items():
                path.write_bytes(old.outputs[kind].read_bytes())
        child = forked(lambda job=job: deploy(job))
        time.sleep(chance.uniform(0, 1.1 * usual))
        os.kill(child, signal.SIGKILL)
        seen["finished first" if exit_code(child) == 0 else "killed"] += 1
        for kind, path in job.outputs.items():
            seen[_state(path, old.outputs[kind], new.outputs[kind])] += 1
        seen["strays left by the kill"] += len(list(out.glob(".*")))
        if number % 10 == 9 or number == kills - 1:
            assert exit_code(forked(lambda job=job: deploy(job))) == 0
            assert sorted(out.iterdir()) == sorted(job.outputs.values()), "a stray survived the next run"
    return seen


def _finished(radiance: Path, weights: Path, out: Path, threshold: float) -> DeployJob:
    out.mkdir()
    job = whole_job(radiance, out, weights, threshold=threshold)
    assert exit_code(forked(lambda: deploy(job))) == 0
    return job


def _into(job: DeployJob, out: Path) -> DeployJob:
    moved = {kind: out / path.name for kind, path in job.outputs.items()}
    products = Products(True, moved["ortho"], moved["netcdf"], moved["quicklook"])
    return replace(job, out=moved["mask"], products=products)


def _state(path: Path, old: Path, new: Path) -> str:
    if not path.exists():
        return "absent"
    content = path.read_bytes()
    if content == new.read_bytes():
        return "new, whole"
    assert content == old.read_bytes(), f"{path} is neither the old file nor the finished one"
    return "old, whole"


def limited_disk(radiance: Path, weights: Path, out: Path, limit_bytes: int) -> int:
    """Return the exit code of a run whose files may not grow beyond a size; nothing may be left that is not whole."""
    job = whole_job(radiance, out, weights)

    def work() -> int:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))
        return quiet_main(job)

    code = exit_code(forked(work))
    assert not list(out.glob(".*")), "a temporary was left"
    return code


def quiet_main(job: DeployJob) -> int:
    """Run the command line of a job with its output thrown away."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    return main(command(job))


def command(job: DeployJob) -> list[str]:
    """Return the command line's arguments for a job."""
    named = [f"--{kind}={path}" for kind, path in job.outputs.items() if kind not in ("mask", "probability")]
    return [
        "deploy-pt",
        str(job.out),
        str(job.radiance),
        "--proba",
        "--overwrite",
        f"--weights={job.options.weights}",
        *named,
    ]


@contextmanager
def small_disk(place: Path, size_bytes: int) -> Iterator[Path]:
    """Mount a file system in memory of that size; needs root."""
    place.mkdir(exist_ok=True)
    options = f"size={size_bytes},mode=777"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], check=True, capture_output=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def full_disk(radiance: Path, weights: Path, place: Path, size_bytes: int) -> tuple[int, list[str]]:
    """Return the exit code and the files left by a run onto a disk of that size."""
    with small_disk(place, size_bytes) as disk:
        job = whole_job(radiance, disk, weights)
        return exit_code(forked(lambda: quiet_main(job))), sorted(path.name for path in disk.iterdir())


def as_nobody(radiance: Path, weights: Path, out: Path) -> int:
    """Return the exit code of a run by a user who may not write there."""
    job = whole_job(radiance, out, weights)

    def work() -> int:
        os.setuid(_NOBODY)
        return quiet_main(job)

    return exit_code(forked(work))


def two_writers(target: Path, contents: tuple[bytes, bytes], *, overwrite: bool) -> tuple[list[int], bytes]:
    """Let two processes write one output at the same moment; return their exit codes and what is there afterwards."""
    ready, go = os.pipe()

    def write(content: bytes) -> int:
        os.close(go)
        os.read(ready, 1)  # until the parent lets go of its end
        try:
            with atomic_output(target, overwrite=overwrite) as temporary:
                temporary.write_bytes(content)
        except Exception:
            return 1
        return 0

    children = [forked(lambda content=content: write(content)) for content in contents]
    os.close(ready)
    os.close(go)
    return [exit_code(child) for child in children], target.read_bytes()


def resident_growth(radiance: Path, weights: Path, folder: Path, scenes: int, warm_up: int = 10) -> tuple[int, int]:
    """Mask a scene with every product over and over in this process.

    Returns the resident bytes after the first few, which fill caches, and after all of them.
    """
    first = 0
    for number in range(scenes):
        deploy(whole_job(radiance, folder, weights))
        if number + 1 == warm_up:
            first = _resident_bytes()
    return first, _resident_bytes()


def _resident_bytes() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
