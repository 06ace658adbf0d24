"""One PNG of a masked scene, to look at: true colour, false colour, probability and outline."""

from __future__ import annotations

import base64
import html
import io
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from spectf_cloud.files.atomic import atomic_output
from spectf_cloud.products import panels
from spectf_cloud.products.flags import CLOUD, MASK_NODATA, Masked
from spectf_cloud.readers.acquisition import acquired

# A granule of 1280 lines is shown at full size.
_MAX_PANEL = 1280
_SMALL_PANEL = 640
# The page holds photographs: the usual level 6 takes four times as long for a file 6 % smaller.
_COMPRESSION = 1
_PAPER, _INK, _FAINT, _FRAME = (250, 250, 248), (24, 28, 34), (104, 110, 118), (150, 155, 162)
_PAGE_ASPECT = 1.25
_MIN_PAGE = 760


@dataclass(frozen=True, eq=False)
class _Panel:
    title: str
    picture: Image.Image


def write_quicklook(mask: Masked, path: Path, overwrite: bool = False) -> None:
    """Write the picture, with the tags as PNG text. Raises `OutputError`."""
    text = PngInfo()
    for name, value in mask.tags.items():
        text.add_itxt(name, value)
    with atomic_output(path, overwrite=overwrite) as temporary:
        render(mask).save(temporary, format="PNG", pnginfo=text, compress_level=_COMPRESSION)


def to_html(mask: Masked) -> str:
    """Return the picture and its numbers as HTML for a notebook; the image is embedded."""
    buffer = io.BytesIO()
    render(mask, largest_panel=420).save(buffer, format="PNG")
    picture = base64.b64encode(buffer.getvalue()).decode("ascii")
    return (
        f"<div><strong>CloudMask</strong> of {html.escape(mask.scene.name)}{' (SIMULATED)' if mask.simulated else ''}: "
        f"{html.escape(_cloud_text(mask))}<br>"
        f'<img alt="quicklook" style="max-width: 100%" src="data:image/png;base64,{picture}"></div>'
    )


def render(mask: Masked, largest_panel: int = _MAX_PANEL) -> Image.Image:
    """Draw the page. Panels of large scenes are reduced to ``largest_panel`` pixels, small ones enlarged evenly."""
    shown = _panels(mask, _display_size(mask.scene.lines, mask.scene.samples, largest_panel))
    return _Page(mask, shown).draw()


def _display_size(lines: int, samples: int, largest: int) -> tuple[int, int]:
    longest = max(lines, samples)
    if longest > largest:
        return max(1, round(lines * largest / longest)), max(1, round(samples * largest / longest))
    factor = max(1, min(_SMALL_PANEL, largest) // longest)
    return lines * factor, samples * factor


def _panels(mask: Masked, size: tuple[int, int]) -> list[_Panel]:
    flag = _resized(mask.mask, size, Image.Resampling.NEAREST)
    cloud, nodata = flag == CLOUD, flag == MASK_NODATA
    hatch = panels.hatched(*size)

    def picture(values: panels.Rgb) -> np.ndarray:
        return np.where(nodata[..., None], hatch, _resized(values, size))

    shown = []
    if mask.preview is None:
        outlined_on = picture(panels.mask_colour(mask.mask == CLOUD))
    else:
        nm, reflectance = mask.preview.wavelength_nm, mask.preview.reflectance
        outlined_on = picture(panels.true_colour(reflectance[..., :3]))
        shown.append(_Panel(f"True colour  {_band_text(nm[:3])}", Image.fromarray(outlined_on)))
        vapour = picture(panels.vapour_colour(reflectance[..., 3:]))
        shown.append(_Panel(f"False colour  {_band_text(nm[3:])}", Image.fromarray(vapour)))
    probability = picture(panels.probability_colour(mask.probability))
    shown.append(_Panel("Cloud probability", Image.fromarray(probability)))
    rim_width = 2 if size[0] > mask.scene.lines else 1
    outlined = panels.outlined(outlined_on, cloud, nodata, rim_width)
    shown.append(_Panel("Cloud mask", Image.fromarray(outlined)))
    return shown


def _resized(values: np.ndarray, size: tuple[int, int], how: Image.Resampling | None = None) -> np.ndarray:
    """Return values averaged when reduced, repeated when enlarged."""
    height, width = size
    if how is None:
        how = Image.Resampling.BOX if height < values.shape[0] else Image.Resampling.NEAREST
    return np.asarray(Image.fromarray(values).resize((width, height), how))


class _Page:
    """Panels on a grid between a header and a legend."""

    def __init__(self, mask: Masked, shown: list[_Panel]) -> None:
        self.mask, self.shown = mask, shown
        self.panel_width, self.panel_height = shown[0].picture.size
        self.unit = max(14, min(36, round((self.panel_width + self.panel_height) / 60)))  # size of plain text, px
        self.margin = 2 * self.unit
        self.cell_width = max(self.panel_width, 18 * self.unit)
        self.cell_height = self.panel_height + 2 * self.unit
        self.columns = min(
            (n for n in range(1, len(shown) + 1) if len(shown) % n == 0),
            key=lambda n: abs(math.log(self._aspect(n) / _PAGE_ASPECT)),
        )
        self.rows = len(shown) // self.columns
        self.header, self.footer = 5 * self.unit, 5 * self.unit
        content = self.columns * self.cell_width + (self.columns - 1) * self.unit
        self.width = max(_MIN_PAGE, content + 2 * self.margin)
        self.left = (self.width - content) // 2
        self.height = 2 * self.margin + self.header + self.rows * (self.cell_height + self.unit) + self.footer
        self.page = Image.new("RGB", (self.width, self.height), _PAPER)
        self.pen = ImageDraw.Draw(self.page)
        self.font = ImageFont.load_default(self.unit)

    def _aspect(self, columns: int) -> float:
        rows = len(self.shown) // columns
        return columns * self.cell_width / (rows * self.cell_height)

    def draw(self) -> Image.Image:
        self._draw_header()
        for index, panel in enumerate(self.shown):
            self._draw_panel(panel, *divmod(index, self.columns))
        self._draw_legend(self.height - self.margin - self.footer + self.unit)
        return self.page

    def _draw_header(self) -> None:
        scene = self.mask.scene
        large = ImageFont.load_default(1.7 * self.unit)
        room = self.width - 2 * self.left
        large = ImageFont.load_default(1.7 * self.unit * min(1, room / large.getlength(scene.name)))
        facts = [time_text(scene.name), f"{scene.lines} lines by {scene.samples} samples", "sensor grid"]
        self.pen.text((self.left, self.margin), scene.name, _INK, large)
        x, y = self.left, self.margin + 2.5 * self.unit
        if self.mask.simulated:
            mark = "SIMULATED, not measured   "
            self.pen.text((x, y), mark, panels.OUTLINE, self.font)
            x += round(self.font.getlength(mark))
        self.pen.text((x, y), "  ·  ".join(filter(None, facts)), _FAINT, self.font)

    def _draw_panel(self, panel: _Panel, row: int, column: int) -> None:
        x = self.left + column * (self.cell_width + self.unit)
        y = self.margin + self.header + row * (self.cell_height + self.unit)
        self.pen.text((x, y), panel.title, _INK, self.font)
        top = y + round(1.6 * self.unit)
        self.page.paste(panel.picture, (x, top))
        self.pen.rectangle((x - 1, top - 1, x + self.panel_width, top + self.panel_height), outline=_FRAME)

    def _draw_legend(self, y: int) -> None:
        unit, x = self.unit, self.left
        x = self._swatch(x, y, "cloud", None)
        x = self._swatch(x, y, "no data", Image.fromarray(panels.hatched(unit, 2 * unit)))
        self._colour_bar(x + unit, y)
        tags = self.mask.tags
        made = [f"threshold {self.mask.threshold:g}", f"weights {tags.get('SPECTF_WEIGHTS', 'unnamed')}"]
        made.append(f"spectf-cloud {tags.get('SPECTF_VERSION', '')}".strip())
        self.pen.text((self.left, y + 3 * unit), _cloud_text(self.mask), _INK, self.font)
        right = "  ·  ".join(made)
        self.pen.text((self.width - self.left, y + 3 * unit), right, _FAINT, self.font, anchor="ra")

    def _swatch(self, x: int, y: int, label: str, picture: Image.Image | None) -> int:
        """Draw a small sample and its meaning; return where the next one may start."""
        box = (x, y, x + 2 * self.unit - 1, y + self.unit - 1)
        if picture is None:
            self.pen.rectangle(box, fill=panels.TINT, outline=panels.OUTLINE, width=2)
        else:
            self.page.paste(picture, (x, y))
            self.pen.rectangle(box, outline=_FRAME)
        self.pen.text((x + 2.6 * self.unit, y), label, _INK, self.font)
        return round(x + 4.6 * self.unit + self.font.getlength(label))

    def _colour_bar(self, x: int, y: int) -> None:
        """Draw the colours of probability with 0, 1 and the threshold, between ``x`` and the right margin."""
        right = self.width - self.left
        width = min(right - x, 24 * self.unit)
        x = right - width
        colours = panels.colour_map(width)
        bar = Image.fromarray(np.broadcast_to(colours, (self.unit, width, 3)).copy())
        self.page.paste(bar, (x, y))
        self.pen.rectangle((x - 1, y - 1, right, y + self.unit), outline=_FRAME)
        at = x + round(self.mask.threshold * (width - 1))
        self.pen.line((at, y - self.unit // 3, at, y + self.unit + self.unit // 3), panels.OUTLINE, 2)
        below = y + round(1.3 * self.unit)
        self.pen.text((x, below), "0", _FAINT, self.font)
        self.pen.text((right, below), "1", _FAINT, self.font, anchor="ra")
        self.pen.text((at, below), f"{self.mask.threshold:g}", _INK, self.font, anchor="ma")


def _cloud_text(mask: Masked) -> str:
    fraction = mask.cloud_fraction
    return "no pixel has data" if math.isnan(fraction) else f"cloud {100 * fraction:.1f} % of pixels with data"


def _band_text(wavelength_nm: np.ndarray) -> str:
    return " / ".join(f"{nm:.0f}" for nm in wavelength_nm) + " nm"


def time_text(name: str) -> str:
    """Return the acquisition time in the scene's name; empty if it contains none."""
    seen = acquired(name)
    return f"{seen.time:%Y-%m-%d %H:%M:%S} UTC" if seen is not None and seen.time is not None else ""
