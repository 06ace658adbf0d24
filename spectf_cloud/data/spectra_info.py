"""Summary of a set of labelled spectra: counts by scene, and typical spectra of each label."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spectf_cloud.data.spectra import Spectra
from spectf_cloud.products.figures import COLOURS, GREY, Chart, Line, break_at_gaps, save_png

_LABELS = ("clear", "cloud", "shadow")
#: Spectra of a label from which its percentiles are computed.
_MAX_SPECTRA = 20_000


@dataclass(frozen=True)
class SpectraInfo:
    """Counts of a data set; ``scenes`` lists (fid, clear, cloud, shadow).

    ``left_out`` counts spectra without a measurement or label, which are not in the other counts. ``irradiance`` is
    that which all files say they were made with, None where they differ or do not say it.
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
    """Count labels, in total and by scene."""
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
    """Draw median and quartiles of each label's spectra as a PNG. Raises `OutputError`, `MissingExtraError`."""
    rng = np.random.default_rng(seed)
    order = np.argsort(spectra.wavelength_nm)
    lines = []
    for label, (name, colour) in enumerate(zip(_LABELS, (COLOURS[1], COLOURS[0], GREY), strict=True)):
        rows = np.flatnonzero(spectra.labels == label)
        if not len(rows):
            continue
        toa = spectra.take(np.sort(rng.choice(rows, min(len(rows), _MAX_SPECTRA), replace=False)))[:, order]
        nm, low, middle, high = break_at_gaps(spectra.wavelength_nm[order], *np.percentile(toa, (25, 50, 75), axis=0))
        lines.append(Line(f"{name} ({len(rows):,})", nm, middle, "line", colour, (low, high)))
    title = "Spectra by label: median, and quartiles shaded"
    save_png(path, [Chart(title, "wavelength, nm", "TOA reflectance", lines, width=760, height=420)])
