"""Outputs appear whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from spectf_cloud.errors import OutputError

# What file systems allow, in bytes.
_LONGEST_NAME = 255


def check_output(target: Path, *, overwrite: bool, inputs: Iterable[Path] = ()) -> None:
    """Refuse an output before any work is done. Raises `OutputError`.

    A folder must be there and writable, an input is never written over, nor anything but a plain file, and an
    existing file needs ``overwrite``.
    """
    try:
        resolved = target.resolve()
        if any(resolved == source.resolve() for source in inputs):
            raise OutputError(f"{target} is an input of this run; choose another output name")
        if resolved.is_dir():
            raise OutputError(f"{target} is a folder; give the name of a file in it")
        if not resolved.parent.is_dir():
            raise OutputError(f"{target}: the folder {resolved.parent} does not exist; create it first")
        if not os.access(resolved.parent, os.W_OK | os.X_OK):
            raise OutputError(f"{target}: the folder {resolved.parent} is not writable; choose another place")
        if resolved.exists() and not resolved.is_file():
            raise OutputError(f"{target} is not a plain file; choose another output name")
        if resolved.exists() and not overwrite:
            raise OutputError(f"{target} exists already; add --overwrite to replace it")
        if len(os.fsencode(resolved.name)) > _LONGEST_NAME:
            raise OutputError(f"{target}: the name is too long; choose one of at most {_LONGEST_NAME} bytes")
    except (OSError, ValueError, RuntimeError) as error:  # no permission, a null byte, a loop of links
        raise OutputError(f"{target}: cannot be written: {error}") from error


@contextmanager
def atomic_output(target: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside ``target``; on success it is renamed, on any failure removed.

    The temporary name keeps the suffix, by which GDAL and others choose a format; through a symbolic link
    the file it points to is replaced. What a writer raises as `OSError` (disk full, permission) becomes an
    `OutputError` naming the target.
    """
    check_output(target, overwrite=overwrite)
    resolved = target.resolve()
    temporary = resolved.with_name(f".part-{secrets.token_hex(8)}{resolved.suffix}")
    try:
        # 0o666 less the umask, as for any new file; never through a link, never over a file.
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        yield temporary
        temporary.replace(resolved)
    except OSError as error:
        raise OutputError(f"{target}: could not be written: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)
