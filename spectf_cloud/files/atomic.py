"""Outputs appear whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from spectf_cloud.errors import OutputError, UsageError
from spectf_cloud.files.file_lock import lock
from spectf_cloud.files.reading import temporary_file
from spectf_cloud.files.resources import RESOURCES, resource

#: Start of temporary names, by which the temporaries of killed runs are found.
PREFIX = ".spectf-part-"
# Limit of common file systems.
_MAX_NAME_BYTES = 255
_TRIES = 100

#: Suffixes by the form of file they promise; the first is the usual one.
SUFFIXES = {
    "GeoTIFF": (".tif", ".tiff", ".gtiff"),
    "netCDF": (".nc", ".nc4"),
    "HDF5": (".h5", ".hdf5", ".he5", ".hdf"),
    "PNG": (".png",),
    "ONNX": (".onnx",),
    "TensorRT engine": (".engine", ".plan", ".trt"),
    "text": (".csv", ".txt"),
    "ENVI": (".hdr", ".img"),
    "JPEG": (".jpg", ".jpeg"),
    "JPEG 2000": (".jp2",),
    "GIF": (".gif",),
    "WebP": (".webp",),
    "SVG": (".svg",),
    "PDF": (".pdf",),
    "HTML": (".html", ".htm"),
    "Markdown": (".md",),
    "JSON": (".json", ".geojson"),
    "YAML": (".yml", ".yaml"),
    "XML": (".xml", ".vrt"),
    "Excel": (".xlsx", ".xls"),
    "Parquet": (".parquet",),
    "NumPy": (".npy", ".npz"),
    "PyTorch": (".pt", ".pth", ".ckpt"),
    "safetensors": (".safetensors",),
    "Zarr": (".zarr",),
    "a packed file": (".gz", ".zip", ".bz2", ".xz", ".zst", ".tar", ".tgz"),
}


#: The form of each product of a scene.
FORMS = {"mask": "GeoTIFF", "probability": "GeoTIFF", "ortho": "GeoTIFF", "netcdf": "netCDF", "quicklook": "PNG"}


def check_suffix(target: Path, form: str) -> None:
    """Refuse a name whose suffix promises another form of `SUFFIXES` than this. Raises `UsageError`.

    Names without a suffix, or with an unknown one, are accepted.

    >>> check_suffix(Path("mask.tif"), "GeoTIFF")
    """
    promised = _promised(target)
    if promised not in (None, form):
        raise UsageError(
            f"{target}: {form} is written here, but {target.suffix} means {promised}; use a name that ends in "
            f"{SUFFIXES[form][0]}"
        )


def check_folder_name(target: Path) -> None:
    """Refuse to make a folder whose name is that of a file. Raises `UsageError`."""
    promised = _promised(target)
    if promised is not None and not target.is_dir():
        raise UsageError(f"{target}: a folder is written here, but {target.suffix} means {promised}; name a folder")


def make_folder(folder: Path) -> None:
    """Make a folder for outputs and its parents. Raises `OutputError`, or `UsageError` for the name of a file."""
    check_folder_name(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: the folder cannot be made ({error.strerror})") from error


def _promised(target: Path) -> str | None:
    """Return the form that a name's suffix promises; None for an unknown suffix."""
    return next((form for form, suffixes in SUFFIXES.items() if target.suffix.lower() in suffixes), None)


def check_output(target: Path, *, overwrite: bool, inputs: Iterable[Path] = (), form: str | None = None) -> None:
    """Refuse an output before any work is done. Raises `OutputError`, and `UsageError` as `check_suffix` does.

    The folder must exist and be writable. Inputs, files of the package and anything but a plain file are never
    replaced; an existing file needs ``overwrite``. ``form`` is one of `SUFFIXES`.
    """
    try:
        resolved = target.resolve()
        if any(resolved == source.resolve() for source in inputs):
            raise OutputError(f"{target} is an input of this run; choose another output name")
        if any(resolved == resource(name).resolve() for name in RESOURCES):
            raise OutputError(f"{target} belongs to this installation; choose another output name")
        if form is not None:
            check_suffix(target, form)
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
        if len(os.fsencode(resolved.name)) > _MAX_NAME_BYTES:
            raise OutputError(f"{target}: the name is too long; choose one of at most {_MAX_NAME_BYTES} bytes")
    except (OSError, ValueError, RuntimeError) as error:  # no permission, a null byte, a loop of links
        raise OutputError(f"{target}: cannot be written: {error}") from error


@contextmanager
def atomic_output(target: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary path next to ``target``; on success it is renamed, on any failure removed.

    The temporary name keeps the suffix, by which GDAL and others choose a format. A symbolic link stays, and the file
    it points to is replaced. Of two processes that write one name at once, one wins whole; without ``overwrite`` it is
    the first. An `OSError` of the writer (disk full, permission) becomes an `OutputError` naming the target.
    """
    check_output(target, overwrite=overwrite)
    resolved = target.resolve()
    temporary = resolved.with_name(f"{PREFIX}{secrets.token_hex(8)}{resolved.suffix}")
    try:
        with writing_in(resolved.parent), temporary_file(temporary):
            try:
                # 0o666 less the umask, as for any new file; never through a link, never over a file.
                os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
                yield temporary
                _flush(temporary)
                _publish(temporary, resolved, overwrite)
            finally:
                temporary.unlink(missing_ok=True)
    except FileExistsError as error:
        raise OutputError(f"{target} was created by another process; add --overwrite to replace it") from error
    except OSError as error:
        raise OutputError(f"{target}: could not be written: {error.strerror or error}") from error


@contextmanager
def writing_in(folder: Path) -> Iterator[None]:
    """Announce temporaries in a folder, after removing those that killed runs left there.

    Writers share a lock on the folder; a writer that gets it alone knows that no temporary is in use. Without such
    locks (some network drives, other systems) nothing is removed.
    """
    opened = None
    try:
        with suppress(OSError):  # a folder that cannot be opened or locked
            opened = os.open(folder, os.O_RDONLY)
            if lock(opened):
                _remove_strays(folder)
            for _ in range(_TRIES):
                if lock(opened, alone=False) is not False:
                    break
                time.sleep(0.02)  # another process is cleaning up
        yield
    finally:
        if opened is not None:
            os.close(opened)


def _remove_strays(folder: Path) -> None:
    for stray in folder.glob(f"{PREFIX}*"):
        with suppress(OSError):  # it may belong to another user
            shutil.rmtree(stray) if stray.is_dir() else stray.unlink()


def _publish(temporary: Path, target: Path, overwrite: bool) -> None:
    """Give the finished file its name, in one step."""
    if not overwrite:
        try:
            os.link(temporary, target)
            return
        except FileExistsError:
            raise
        except OSError:  # a file system without links: the last writer wins
            pass
    temporary.replace(target)


def _flush(path: Path) -> None:
    """Put the content on the disk before the name: a power cut must not leave an empty file of the right name."""
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
