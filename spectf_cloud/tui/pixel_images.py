"""Real pictures instead of cells, where textual-image is installed and the terminal can show them."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any


def sharp_image() -> Any:
    """A widget class with a settable ``image`` (PIL), or None.

    Asks the terminal, so call it before the application takes the terminal over.
    """
    if find_spec("textual_image") is None:
        return None
    from textual_image.renderable import Image, SixelImage, TGPImage

    if Image not in (SixelImage, TGPImage):  # its other ways are cells too
        return None
    from textual_image.widget import Image as Widget

    return Widget
