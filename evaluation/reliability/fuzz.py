"""Coverage-guided fuzzing of everything we read, by atheris (libFuzzer for Python).

Run: python -m evaluation.reliability.fuzz TARGET --minutes 30 --findings FOLDER
What escapes is saved once for each place it escapes from, and the run continues; a crash of a C library or too much
memory ends it with libFuzzer's own report, and it is started again. Found cases go to tests/hostile/cases/TARGET/,
where the suite reads each of them again.
"""

from __future__ import annotations

import argparse
import logging
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

_LIMITS = [
    "-max_len=65536",
    "-timeout=600",
    "-report_slow_units=600",
    "-rss_limit_mb=3000",
    "-malloc_limit_mb=2500",
    "-verbosity=0",
]
# Not those of fuzz_targets: what it imports has to be instrumented first.
_NAMES = ("envi", "emit", "spectra", "weights", "config", "irradiance")


def _place(escaped: BaseException) -> str:
    """Name the type and the innermost line of ours: one finding each."""
    frames = [frame for frame in traceback.extract_tb(escaped.__traceback__) if "spectf_cloud" in frame.filename]
    where = f"{Path(frames[-1].filename).stem}-{frames[-1].lineno}" if frames else "outside"
    return f"{type(escaped).__name__}-{where}"


def _fuzz(target: str, findings: Path, seconds: int) -> None:
    """Fuzz in this process until the time is up or libFuzzer ends it."""
    import atheris
    import h5py  # noqa: F401 - before, so that only what parses foreign bytes is instrumented
    import rasterio  # noqa: F401
    import torch  # noqa: F401

    with atheris.instrument_imports(include=["spectf_cloud", "yaml"]):
        from fuzz_targets import TARGETS, survives

    logging.disable(logging.CRITICAL)
    found, corpus = findings / target, findings / f"{target}.corpus"
    for folder in (found, corpus):
        folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(TARGETS[target][1]()):
        (corpus / f"seed{number}").write_bytes(seed)
    scratch = Path(tempfile.mkdtemp(prefix=f"spectf-fuzz-{target}-", dir="/dev/shm"))
    seen = {path.name for path in found.iterdir()}
    runs = 0

    def one(content: bytes) -> None:
        nonlocal runs
        runs += 1
        if runs % 100 == 0:
            with (findings / f"{target}.runs").open("a") as stream:
                stream.write(f"{time.time():.0f} 100\n")
        escaped = survives(target, content, scratch)
        if escaped is not None and (name := _place(escaped)) not in seen:
            seen.add(name)
            (found / name).write_bytes(content)
            print(f"{target}: {name}: {escaped}", flush=True)

    arguments = [str(corpus), f"-max_total_time={seconds}", f"-artifact_prefix={found}/", *_LIMITS]
    atheris.Setup([sys.argv[0], *arguments], one)
    atheris.Fuzz()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=_NAMES)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--findings", type=Path, required=True)
    parser.add_argument("--once", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.once:
        _fuzz(options.target, options.findings, options.once)
        return
    end = time.monotonic() + 60 * options.minutes
    while (left := int(end - time.monotonic())) > 5:
        command = [sys.executable, "-m", "evaluation.reliability.fuzz", options.target]
        subprocess.run([*command, "--findings", str(options.findings), "--once", str(left)], check=False)


if __name__ == "__main__":
    main()
