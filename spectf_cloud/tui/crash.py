"""Report of a crash of the application: one line, and a file with the traceback."""

from __future__ import annotations

import traceback
from contextlib import suppress
from pathlib import Path

from spectf_cloud.errors import OutputError
from spectf_cloud.files.atomic import atomic_output
from spectf_cloud.files.cache import cache_folder


def crash_words(error: Exception, folder: Path | None = None) -> str:
    """Write the traceback to ``folder``, by default the user's cache, and return a line that names it."""
    said = " ".join(f"{type(error).__name__}: {error}".split())
    kept = (folder or cache_folder()) / "tui-crash.txt"
    with suppress(OSError, OutputError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        with atomic_output(kept, overwrite=True) as temporary:
            temporary.write_text("".join(traceback.format_exception(error)), encoding="utf-8", errors="replace")
        return f"{said} (unexpected error; please report it with {kept})"
    return f"{said} (unexpected error; please report it)"
