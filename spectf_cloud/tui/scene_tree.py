"""A directory tree of files that can be masked or viewed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rich.style import Style
from rich.text import Text
from textual.widgets import DirectoryTree
from textual.widgets.directory_tree import DirEntry
from textual.widgets.tree import TreeNode

from spectf_cloud.tui.granules import is_probability, short_name, worth_showing


class SceneTree(DirectoryTree):
    """Folders, granules and saved probabilities; other files are hidden."""

    HELP = """\
## Scenes
Folders, granules (EMIT netCDF, ENVI headers) and saved probabilities (`…_prob.tif`).
The arrow keys move, **enter** opens a folder, masks a granule, or shows a probability.
**backspace** goes up a folder, **g** to any other.
"""

    def filter_paths(self, paths: Iterable[Path]) -> Iterable[Path]:
        """Return the paths to show; runs in a thread and only asks whether a path is a folder."""
        folders: list[Path] = []
        files: list[Path] = []
        for path in paths:
            if path.name.startswith("."):
                continue
            (folders if self._safe_is_dir(path) else files).append(path)
        return [*folders, *worth_showing(files)]

    def render_label(self, node: TreeNode[DirEntry], base_style: Style, style: Style) -> Text:
        """Return a sign for the kind, and the short name."""
        if node.data is None or node.allow_expand:
            sign, name = "▾ " if node.is_expanded else "▸ ", str(node.label)
        else:
            sign, name = "◐ " if is_probability(node.data.path) else "▦ ", short_name(node.data.path)
        return Text.assemble((sign, base_style), (name, base_style + style), no_wrap=True)
