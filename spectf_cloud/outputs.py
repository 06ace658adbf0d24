"""Outputs appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from spectf_cloud.errors import OutputError


def check_output(target: Path, *, overwrite: bool, inputs: Iterable[Path] = ()) -> None:
    """Refuse an output before any work is done. Raises `OutputError`.

    A folder must be there and writable, an input is never written over, and an existing file needs
    ``overwrite``.
    """
    resolved = target.resolve()
    for source in inputs:
        if resolved == source.resolve():
            raise OutputError(f"{target} is an input of this run; choose another output name")
    if target.is_dir():
        raise OutputError(f"{target} is a folder; give the name of a file in it")
    if not resolved.parent.is_dir():
        raise OutputError(f"{target}: the folder {resolved.parent} does not exist; create it first")
    if not os.access(resolved.parent, os.W_OK | os.X_OK):
        raise OutputError(f"{target}: the folder {resolved.parent} is not writable; choose another place")
    if target.exists() and not overwrite:
        raise OutputError(f"{target} exists already; add --overwrite to replace it")


@contextmanager
def atomic_output(target: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside ``target``; on success it is renamed, on any failure removed.

    The temporary name keeps the suffix, by which GDAL and others choose a format. What a writer raises as
    `OSError` (disk full, permission) becomes an `OutputError` naming the target.
    """
    check_output(target, overwrite=overwrite)
    handle, name = tempfile.mkstemp(prefix=f".{target.stem}.", suffix=f".part{target.suffix}", dir=target.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        _as_umask_allows(temporary)
        temporary.replace(target)
    except OSError as error:
        raise OutputError(f"{target}: could not be written: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def _as_umask_allows(path: Path) -> None:
    """mkstemp makes files private; give the mode an ordinary new file would have."""
    umask = os.umask(0)
    os.umask(umask)
    path.chmod(0o666 & ~umask)
