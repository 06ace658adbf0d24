"""Compile the CPU kernel with the system's compiler: a shared library for each instruction set.

The libraries have a C interface and are loaded with ctypes, so they fit any Python. A wheel carries them in ``lib``
(see hatch_build.py, which runs this file alone: nothing of the package may be imported here). Otherwise the library is
compiled at first use into the user's cache. Without a compiler PyTorch does the work.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).parent / "cpp"
CARRIED = SOURCE.parent / "lib"
# Contracted multiply-adds; traps and errno are not used. Without the C++ run time there is nothing to link.
_FLAGS = [
    *("-std=c++17", "-O3", "-fPIC", "-shared", "-fvisibility=hidden", "-ffp-contract=fast", "-fno-math-errno"),
    *("-fno-trapping-math", "-fno-signed-zeros", "-fno-exceptions", "-fno-rtti", "-Wall"),
]
_AVX512 = "-mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512cd -mavx2 -mfma -mf16c -mprefer-vector-width=512"


class BuildError(Exception):
    """The kernel could not be compiled; the message says why."""


@dataclass(frozen=True)
class Level:
    """One instruction set: its name, flags of the compiler, CPU features it needs."""

    name: str
    flags: str
    needs: frozenset[str]


_NEEDS_AVX512 = frozenset(("avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512cd", "fma", "f16c"))
_X86 = (
    Level(
        "avx512-vnni",
        f"-DSPECTF_LANES=16 {_AVX512} -mavx512vnni -mavx512bf16 -mavx512vbmi",
        _NEEDS_AVX512 | {"avx512_vnni", "avx512_bf16", "avx512vbmi"},
    ),
    Level("avx512", f"-DSPECTF_LANES=16 {_AVX512}", _NEEDS_AVX512),
    Level("avx2", "-DSPECTF_LANES=8 -mavx2 -mfma -mf16c", frozenset(("avx2", "fma", "f16c"))),
)
_PORTABLE = Level("portable", "-DSPECTF_LANES=4", frozenset())


def levels() -> tuple[Level, ...]:
    """Return the instruction sets of this kind of machine, fastest first."""
    return (*_X86, _PORTABLE) if platform.machine().lower() in ("x86_64", "amd64") else (_PORTABLE,)


def cpu_features() -> frozenset[str]:
    """Return the features of this CPU by Linux's names; empty where they are not known."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("flags"):
                return frozenset(line.partition(":")[2].split())
    except OSError:
        pass
    return frozenset()


def library_name(level: Level) -> str:
    """Return a file name that changes with the source, the flags and the kind of machine."""
    digest = hashlib.sha256(" ".join((*_FLAGS, level.flags, sys.platform, platform.machine())).encode())
    for path in sorted(SOURCE.glob("*.h")) + sorted(SOURCE.glob("*.cpp")):
        digest.update(path.read_bytes())
    return f"spectf-{level.name}-{digest.hexdigest()[:16]}.so"


def find_or_compile(level: Level, cache: Path) -> Path:
    """Return the library of a level: bundled, cached, or compiled now. Raises `BuildError`."""
    name = library_name(level)
    for folder in (CARRIED, cache):
        if (folder / name).is_file():
            return folder / name
    return compile_level(level, cache)


def compile_level(level: Level, folder: Path) -> Path:
    """Compile one level into a folder, completely or not at all. Raises `BuildError`."""
    compiler = os.environ.get("CXX") or next(filter(None, map(shutil.which, ("c++", "g++", "clang++"))), None)
    if sys.platform == "win32" or not compiler:
        raise BuildError("no C++ compiler found (c++, g++ or clang++; CXX names another)")
    target = folder / library_name(level)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            made = Path(scratch) / target.name
            command = [*compiler.split(), *_FLAGS, *level.flags.split(), str(SOURCE / "kernel.cpp"), "-o", str(made)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
            if done.returncode:
                complaint = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr[:200])
                raise BuildError(f"{compiler} failed: {complaint.strip()}")
            made.replace(target)
    except (OSError, subprocess.SubprocessError) as error:
        raise BuildError(f"cannot compile into {folder} ({error})") from error
    return target
