"""Real pictures instead of cells, if textual-image is installed and the terminal can show them."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any


def sharp_image() -> Any:
    """Return a widget class with a settable ``image`` (PIL), or None.

    It queries the terminal, so call it before the application starts.
    """
    if find_spec("textual_image") is None:
        return None
    from textual_image.renderable import Image, SixelImage, TGPImage

    if Image not in (SixelImage, TGPImage):  # the other ways are cells too
        return None
    from textual_image.widget import Image as Widget

    return Widget
