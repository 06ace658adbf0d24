"""The figures of the judge."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Ellipse
from numpy.typing import NDArray
from PIL import Image

from evaluation.reference import real_statistics, scaled
from evaluation.simulation.judged import THRESHOLD, Pixels, judge_scene
from spectf_cloud.sensor import Sensor
from spectf_cloud.simulation.config import SimulationConfig
from spectf_cloud.simulation.surfaces import CLASSES
from spectf_cloud.tokens import shown_bands

#: Atmospheric windows that the figures name.
_GASES = ((760, "O$_2$"), (940, "H$_2$O"), (1130, "H$_2$O"), (1380, "H$_2$O"), (1880, "H$_2$O"), (2010, "CO$_2$"))
_COLOURS = (
    "#2a7f3e",
    "#b9a04a",
    "#8c5a3c",
    "#d8b26e",
    "#777777",
    "#20508c",
    "#3c9a9a",
    "#9fb8d9",
    "#7d8fd6",
    "#66c2d9",
)
_SCENES = (("mixed", 70_020), ("broken", 70_021), ("cirrus", 70_022))
_SIDE = 72


def draw_all(folder: Path, pixels: Pixels, irradiance: Path) -> None:
    """Write spectra.png, thickness.png, components.png and scenes.png."""
    for name, figure in (
        ("spectra", spectra(pixels)),
        ("thickness", thickness(pixels)),
        ("components", real_components(pixels)),
        ("scenes", scenes(irradiance)),
    ):
        figure.canvas.draw()
        picture = Image.fromarray(np.asarray(figure.canvas.buffer_rgba())[..., :3])
        picture.quantize(200, dither=Image.Dither.NONE).save(folder / f"{name}.png", optimize=True)
        plt.close(figure)


def spectra(pixels: Pixels) -> plt.Figure:
    """TOA reflectance: median and middle 80 % of each clear class and of clouds."""
    nm = np.insert(_KEPT_NM, _GAP, np.nan)
    figure, (ground, sky) = plt.subplots(1, 2, figsize=(13, 4.6), layout="constrained", sharey=True)
    lit = pixels.clear & (pixels.shadow < 0.2)
    for number, colour in enumerate(_COLOURS, start=1):
        _band(ground, nm, pixels.toa[lit & (pixels.surface == number)], colour, CLASSES[number - 1])
    liquid, ice, top = pixels.liquid, pixels.ice, pixels.top_km
    for chosen, colour, label in (
        (pixels.clear & (pixels.shadow > 0.5) & pixels.gated, "#222222", "shadow"),
        ((liquid > 3) & (liquid < 8) & (ice < 0.05) & (top < 3), "#e08b3c", "liquid 3–8, top < 3 km"),
        ((liquid > 10) & (ice < 0.05) & (top < 3), "#b5302a", "liquid > 10, top < 3 km"),
        ((liquid > 10) & (ice < 0.05) & (top >= 3), "#7a2a8c", "liquid > 10, top > 3 km"),
        ((ice > 0.2) & (ice < 1) & (liquid < 0.05), "#4a9bd1", "ice 0.2–1"),
        ((ice > 1.5) & (liquid < 0.05), "#1b3f86", "ice > 1.5"),
    ):
        _band(sky, nm, pixels.toa[chosen], colour, label)
    for axes, title in ((ground, "clear, lit"), (sky, "clouds and shadow")):
        axes.set(title=title, xlabel="wavelength, nm", ylim=(0, 1.3), xlim=(400, 2460))
        axes.legend(fontsize=8, ncols=3, loc="upper center")
        for gas, name in _GASES:
            axes.text(gas, 1.01, name, ha="center", fontsize=7, color="#666666")
    ground.set_ylabel("TOA reflectance")
    return figure


def _band(axes: Axes, nm: NDArray[np.float64], toa: NDArray[np.floating], colour: str, label: str) -> None:
    if len(toa) < 20:
        return
    low, middle, high = (np.insert(values, _GAP, np.nan) for values in np.quantile(toa, (0.1, 0.5, 0.9), axis=0))
    axes.plot(nm, middle, color=colour, label=f"{label} ({len(toa):,})", lw=1.3)
    axes.fill_between(nm, low, high, color=colour, alpha=0.13, lw=0)


_KEPT_NM = Sensor.emit().wavelength_nm[shown_bands(Sensor.emit())]
_GAP = int(np.argmax(np.diff(_KEPT_NM))) + 1


def thickness(pixels: Pixels) -> plt.Figure:
    """Probability against optical thickness, liquid by height of its top, and ice."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained", sharey=True)
    top = pixels.top_km
    for chosen, colour, label in (
        (top < 2, "#b5302a", "top under 2 km"),
        ((top >= 2) & (top < 3.5), "#e08b3c", "2–3.5 km"),
        (top >= 3.5, "#4a7f3e", "over 3.5 km"),
    ):
        only = chosen & (pixels.ice < 0.05) & (pixels.liquid > 0.05) & pixels.gated
        _against(left, pixels.liquid[only], pixels.probability[only], colour, label)
    only = (pixels.liquid < 0.05) & (pixels.ice > 0.01) & pixels.gated
    _against(right, pixels.ice[only], pixels.probability[only], "#1b3f86", "ice, 7–14 km")
    left.axvline(3, color="k", lw=0.8, ls=":")
    right.axvline(0.2, color="k", lw=0.8, ls=":")
    for axes, title in ((left, "liquid"), (right, "ice")):
        axes.axhline(THRESHOLD, color="k", lw=0.8, ls="--")
        axes.set(xscale="log", xlabel="optical thickness at 550 nm", title=title, ylim=(-0.02, 1.02))
        axes.legend(fontsize=8, loc="lower right")
    left.set_ylabel("cloud probability, published v0.1.0")
    return figure


def _against(axes: Axes, x: NDArray[np.floating], p: NDArray[np.floating], colour: str, label: str) -> None:
    axes.plot(x, p, ".", ms=1.5, color=colour, alpha=0.25, rasterized=True)
    edges = np.quantile(x, np.linspace(0, 1, 13))
    bins = np.clip(np.searchsorted(edges, x, "right") - 1, 0, 11)
    centres = [float(np.exp(np.log(x[bins == b]).mean())) for b in range(12)]
    axes.plot(centres, [float(np.median(p[bins == b])) for b in range(12)], "o-", ms=3, color=colour, label=label)


def real_components(pixels: Pixels) -> plt.Figure:
    """Simulated spectra in the plane of the leading real components, and both sets of components."""
    real = real_statistics()
    simulated = scaled(pixels.radiance)
    scores = (simulated - real.mean) @ real.components
    own = np.linalg.svd(simulated - simulated.mean(axis=0), full_matrices=False)[2]
    figure = plt.figure(figsize=(13, 6.4), dpi=80, layout="constrained")
    grid = figure.add_gridspec(2, 4)
    spread = np.sqrt(np.maximum(real.variance, 0))
    for column, (a, b) in enumerate(((0, 1), (2, 3))):
        axes = figure.add_subplot(grid[column, 0])
        for group, colour, label in ((pixels.clear, "#2a7f3e", "clear"), (pixels.cloud, "#7a7ac0", "cloud")):
            axes.plot(scores[group, a], scores[group, b], ".", ms=1, alpha=0.3, color=colour, label=label)
        for sigmas in (1, 2, 3):
            axes.add_patch(Ellipse((0, 0), 2 * sigmas * spread[a], 2 * sigmas * spread[b], fill=False, lw=1))
        axes.set(xlabel=f"component {a + 1}", ylabel=f"component {b + 1}")
        axes.set_title("real: 1, 2, 3 sigma ellipses", fontsize=9)
        axes.legend(fontsize=8, markerscale=6)
    nm = Sensor.emit().wavelength_nm
    for order in range(6):
        axes = figure.add_subplot(grid[order // 3, 1 + order % 3])
        # The simulated subspace turned to match each real component as well as it can.
        match = own[:8].T @ (own[:8] @ real.components[:, order])
        axes.plot(nm, real.components[:, order], "k", lw=1.4, label="real")
        axes.plot(nm, match, color="#b5302a", lw=0.9, label="nearest in 8 simulated")
        axes.set_title(f"component {order + 1}: cosine {np.linalg.norm(match):.3f}", fontsize=9)
    figure.axes[2].legend(fontsize=8)
    return figure


def scenes(irradiance: Path) -> plt.Figure:
    """Three scenes: true colour, optical thickness with shadows, and what the network says."""
    figure, rows = plt.subplots(len(_SCENES), 3, figsize=(9.4, 9.6), layout="constrained")
    for row, (preset, seed) in zip(rows, _SCENES, strict=True):
        scene, pixels = judge_scene(SimulationConfig(_SIDE, _SIDE, seed, preset, irradiance=irradiance), None)
        inside = scene.geometry.valid

        def grid(values: NDArray[np.floating], inside: NDArray[np.bool_] = inside) -> NDArray[np.floating]:
            image = np.full((*inside.shape, *values.shape[1:]), np.nan, dtype=np.float32)
            image[inside] = values
            return image

        bands = [int(np.abs(_KEPT_NM - nm).argmin()) for nm in (650, 560, 470)]
        row[0].imshow(np.nan_to_num(np.clip(grid(pixels.toa[:, bands]) / 0.5, 0, 1)) ** 0.65)
        row[0].set_title(f"{preset}, seed {seed}, sun {np.rad2deg(np.arccos(scene.angles.cos_sun)):.0f}°", fontsize=9)
        row[1].imshow(np.log10(1 + grid(pixels.liquid + pixels.ice)), cmap="gray", vmin=0, vmax=1.8)
        shadow = grid(pixels.shadow)
        dark = (shadow > 0.3) & grid(pixels.clear.astype(np.float32)).astype(bool)
        row[1].imshow(np.ma.masked_where(~dark, shadow), cmap="winter", alpha=0.8, vmin=0.3, vmax=1)
        row[1].set_title("truth: optical thickness, shadow on clear ground in colour", fontsize=9)
        image = row[2].imshow(grid(pixels.probability), cmap="viridis", vmin=0, vmax=1)
        row[2].contour(np.nan_to_num(grid(pixels.cloud.astype(np.float32))), [0.5], colors="w", linewidths=0.7)
        row[2].set_title("published v0.1.0, white: truth", fontsize=9)
        figure.colorbar(image, ax=row[2], shrink=0.8)
        for axes in row:
            axes.set_axis_off()
    return figure
