"""Carry the compiled CPU kernel in wheels. Without a compiler the wheel is built all the same, and says so."""

from __future__ import annotations

import runpy
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_NATIVE = "spectf_cloud/inference/engines/native"


class KernelHook(BuildHookInterface):
    """Compiles every instruction set of this kind of machine. An editable install compiles at first use instead."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before a wheel is filled."""
        if version != "standard":
            return
        build = runpy.run_path(str(Path(self.root, _NATIVE, "build.py")), run_name="build")
        for old in Path(self.root, _NATIVE, "lib").glob("*.so"):
            old.unlink()
        made: list[Path] = []
        for level in build["levels"]():
            try:
                made.append(build["compile_level"](level, Path(self.root, _NATIVE, "lib")))
            except build["BuildError"] as error:
                self.app.display_warning(f"no compiled kernel for {level.name}: {error}; PyTorch will do its work")
        if made:
            build_data["force_include"] |= {str(path): f"{_NATIVE}/lib/{path.name}" for path in made}
            build_data["pure_python"] = False
            # Plain C interface: fits any Python of this platform.
            build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"
