"""The six bands of a picture, read from a scene's files without masking it."""

from __future__ import annotations

import numpy as np

from spectf_cloud.products.flags import Preview
from spectf_cloud.scene import Scene
from spectf_cloud.tokens import Tokens

#: True colour, then three water-vapour bands in which only high cloud is bright.
PREVIEW_NM = (640.0, 550.0, 460.0, 1380.0, 1420.0, 1890.0)


def read_preview(scene: Scene, tokens: Tokens | None = None, step: int = 1) -> Preview:
    """Read the reflectance of the preview bands at every ``step``-th line and sample.

    ``tokens`` are those of the scene's mask, by default those of the bundled settings. NaN where one of these bands or
    the geometry is missing. Raises `InputError`.
    """
    whole = Tokens.of_tags(scene, {}) if tokens is None else tokens
    shown = whole.only(whole.nearest(PREVIEW_NM))
    rows = [shown.read_line(scene, line, step) for line in range(0, scene.lines, step)]
    return Preview(shown.wavelength_nm, np.stack(rows))
