"""Bands of a scene that hold no data anywhere, and bands that the file itself marks bad."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.scene import Scene, fill_values, missing
from spectf_cloud.toa import toa_reflectance

BoolArray = NDArray[np.bool_]
Positions = NDArray[np.intp]

# Lines looked at before a whole scene is read: most scenes show data in every band on the first.
_PLACES = (0.5, 0.25, 0.75, 0.0, 1.0)
_MAX_SAMPLED_PIXELS = 1024
_BLOCK_BYTES = 32 * 2**20

# A sound band's reflectance, and by how much it may bend away from its neighbours' mean in the median pixel.
_SOUND_REFLECTANCE = (-0.05, 2.0)
_SOUND_SHARE = 0.99
_MAX_BEND = 0.1


def empty_bands(scene: Scene, wanted: Positions) -> Positions:
    """Which of the wanted bands hold no data in any pixel, although others do.

    No data is what the file declares, −9999, and one fill value (see `Cube.fill_spectra`) everywhere. A band of whole
    numbers that is 0 everywhere may be a dark one, and is data.
    """
    cube, unseen = scene.image, wanted
    for start, stop in (*_sampled_lines(scene), *_all_lines(scene)):
        values = cube.read(start, stop, unseen)
        held = ~missing(values, cube.nodata)
        for fill in _fills(scene):
            held &= values != fill[unseen]
        unseen = unseen[~held.any(axis=(0, 1))]
        if not unseen.size:
            break
    return unseen if unseen.size < wanted.size else unseen[:0]


def sound_bands(scene: Scene, marked: Positions, usable: Positions, factors: NDArray[np.float64]) -> Positions:
    """Which of the marked bands hold plausible reflectance all the same, judged on some lines of the scene.

    usable
        (bands,) positions in the order of wavelength, the marked ones among them.
    factors
        (bands,) `Tokens.factors` of the usable bands.
    """
    values, incidence_deg = _sampled_pixels(scene, usable)
    toa, varied = toa_reflectance(values, factors, incidence_deg), (values != values[:1]).any(axis=0)
    if not len(toa) or len(usable) < 3:
        return marked[:0]
    low, high = _SOUND_REFLECTANCE
    inside = ((toa >= low) & (toa <= high)).mean(axis=0) >= _SOUND_SHARE
    # Of one value throughout though others are not: filled in, however plausible.
    inside &= varied | ~varied.any()
    around = np.pad(toa, ((0, 0), (1, 1)), mode="edge")
    bend = np.median(np.abs(toa - (around[:, :-2] + around[:, 2:]) / 2), axis=0)
    return marked[np.isin(marked, usable[inside & (bend <= _MAX_BEND)])]


def in_words(wavelength_nm: NDArray[np.float64], chosen: Positions) -> str:
    """Bands as ranges of neighbours: ``1331–1469, 2450 nm``; empty where there are none."""
    if not chosen.size:
        return ""
    order = np.argsort(wavelength_nm, kind="stable")
    places = np.flatnonzero(np.isin(order, chosen))
    runs = np.split(wavelength_nm[order[places]], np.flatnonzero(np.diff(places) != 1) + 1)
    return ", ".join(f"{run[0]:.0f}" if len(run) == 1 else f"{run[0]:.0f}–{run[-1]:.0f}" for run in runs) + " nm"


def _fills(scene: Scene) -> NDArray[np.floating]:
    """(fills, bands) values that are no data where a band holds nothing else."""
    stored = scene.image.stored
    spectra = scene.image.fill_spectra()
    return spectra[fill_values(stored) != 0] if stored.kind in "iu" else spectra


def _sampled_lines(scene: Scene) -> Iterator[tuple[int, int]]:
    """One line at each place, as blocks; not two of one row of chunks, each of which is unpacked whole."""
    seen = set()
    for place in _PLACES:
        line = round(place * (scene.lines - 1))
        row = line // scene.image.lines_per_chunk
        if row not in seen:
            seen.add(row)
            yield line, line + 1


def _all_lines(scene: Scene) -> Iterator[tuple[int, int]]:
    """The whole scene in small blocks, of whole chunks where the file has some."""
    lines = max(1, _BLOCK_BYTES // (4 * scene.samples * scene.image.bands))
    return scene.blocks(-(-lines // scene.image.lines_per_chunk) * scene.image.lines_per_chunk)


def _sampled_pixels(scene: Scene, bands: Positions) -> tuple[NDArray[np.floating], NDArray[np.float64]]:
    """Values (pixels, bands) and incidence angles of some pixels of some lines: those with data in every band."""
    step, pixels = -(-scene.samples // _MAX_SAMPLED_PIXELS), []
    for start, stop in _sampled_lines(scene):
        values = scene.image.read(start, stop, bands)[:, ::step].reshape(-1, len(bands))
        incidence_deg = scene.read_incidence_deg(start, stop)[:, ::step].reshape(-1)
        valid = np.isfinite(incidence_deg) & ~missing(values, scene.image.nodata).any(axis=1)
        pixels.append((values[valid], incidence_deg[valid]))
    all_values, all_angles = zip(*pixels, strict=True)
    return np.concatenate(all_values), np.concatenate(all_angles)
