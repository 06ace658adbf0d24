"""What a set of labelled spectra holds: counts by scene, and typical spectra of each label."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spectf_cloud.data.spectra import Spectra
from spectf_cloud.products.figures.chart import Chart, Line
from spectf_cloud.products.figures.png import save_png

_LABELS = ("clear", "cloud", "shadow")
#: So many spectra of a label settle its percentiles.
_ENOUGH = 20_000


@dataclass(frozen=True)
class SpectraInfo:
    """Counts of a data set; ``scenes`` lists (fid, clear, cloud, shadow).

    ``left_out`` counts spectra without a measurement or label, which are in none of the others; ``irradiance`` is what
    all files say they were made with, None where they do not say one and the same.
    """

    files: list[str]
    spectra: int
    bands: int
    first_nm: float
    last_nm: float
    clear: int
    cloud: int
    shadow: int
    left_out: int
    irradiance: str | None
    scenes: list[tuple[str, int, int, int]]


def describe(spectra: Spectra) -> SpectraInfo:
    """Count labels, in all and by scene."""
    counts = spectra.counts()
    total = counts.sum(0)
    made_with = {file.irradiance for file in spectra.files}
    irradiance = made_with.pop() if len(made_with) == 1 else None
    return SpectraInfo(
        files=[str(file.source) for file in spectra.files],
        spectra=len(spectra),
        bands=spectra.bands,
        first_nm=float(spectra.wavelength_nm.min()),
        last_nm=float(spectra.wavelength_nm.max()),
        clear=int(total[0]),
        cloud=int(total[1]),
        shadow=int(total[2]),
        left_out=sum(file.left_out.total - len(file.toa) for file in spectra.files),
        irradiance=None if irradiance is None else str(irradiance),
        scenes=[(fid, int(n[0]), int(n[1]), int(n[2])) for fid, n in zip(spectra.fids, counts, strict=True)],
    )


def plot_spectra(spectra: Spectra, path: Path, seed: int = 0) -> None:
    """Median and quartiles of each label's spectra as a PNG. Raises `OutputError`."""
    rng = np.random.default_rng(seed)
    order = np.argsort(spectra.wavelength_nm)
    wavelength = spectra.wavelength_nm[order].tolist()
    # A gap in the bands is a gap in the line.
    steps = np.diff(wavelength)
    breaks = set((np.flatnonzero(steps > 3 * np.median(steps)) + 1).tolist())
    lines = []
    for label, (name, colour) in enumerate(zip(_LABELS, ("#D55E00", "#0072B2", "#5b6570"), strict=True)):
        rows = np.flatnonzero(spectra.labels == label)
        if not len(rows):
            continue
        toa = spectra.take(np.sort(rng.choice(rows, min(len(rows), _ENOUGH), replace=False)))[:, order]
        for share, style in ((25, "dashes"), (50, "line"), (75, "dashes")):
            values = np.percentile(toa, share, axis=0).tolist()
            title = f"{name} ({len(rows):,})" if share == 50 else ""
            lines.append(_with_gaps(Line(title, wavelength, values, "line", colour), breaks, style == "line"))
    title = "Spectra by label: median, quartiles"
    save_png(path, [Chart(title, "wavelength, nm", "TOA reflectance", lines, width=760, height=420)])


def _with_gaps(line: Line, breaks: set[int], bold: bool) -> Line:
    x: list[float] = []
    y: list[float] = []
    for number, (wavelength, value) in enumerate(zip(line.x, line.y, strict=True)):
        if number in breaks:
            x.append(wavelength)
            y.append(float("nan"))
        x.append(wavelength)
        y.append(value)
    return Line(line.label, x, y, "line" if bold else "dashes", line.colour)
