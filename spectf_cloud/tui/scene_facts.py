"""The contents of a scene's card, read from the files without their pixels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spectf_cloud.dataset import open_cube, open_scene, role
from spectf_cloud.errors import InputError
from spectf_cloud.products.panels import Rgb, probability_colour, true_colour
from spectf_cloud.products.preview import read_preview
from spectf_cloud.products.quicklook import time_text
from spectf_cloud.products.saved_probability import read_probability
from spectf_cloud.scene import Cube, Scene

_LINES_LOOKED_AT = 16


@dataclass(frozen=True, eq=False)
class SceneFacts:
    """One granule. `scene` is None if its observation geometry was not found, and `trouble` says why."""

    path: Path
    radiance: Cube
    scene: Scene | None
    trouble: str
    bytes_on_disk: int
    sun_zenith_deg: tuple[float, float] | None
    place: str

    def rows(self) -> list[tuple[str, str]]:
        """Return (label, text) rows for the card."""
        cube, sensor = self.radiance, self.radiance.sensor
        assert sensor is not None  # checked by read_facts
        low_nm, high_nm = sensor.wavelength_nm.min(), sensor.wavelength_nm.max()
        rows = [
            ("Sensor", f"{sensor.name}, {cube.bands} bands, {low_nm:.0f}–{high_nm:.0f} nm"),
            ("Size", f"{cube.lines} lines × {cube.samples} samples"),
            ("Date", time_text(cube.name) or "not in its name"),
        ]
        if self.sun_zenith_deg:
            low, high = self.sun_zenith_deg
            span = f"{low:.0f}" if round(low) == round(high) else f"{low:.0f}–{high:.0f}"
            rows.append(("Geometry", f"sun {span}° from zenith{self.place}"))
        observation = self.scene.observation if self.scene else None
        rows.append(("OBS", f"found: {observation.path.name}" if observation else f"not found: {self.trouble}"))
        rows.append(("On disk", _size_text(self.bytes_on_disk)))
        return rows


def read_facts(path: Path) -> SceneFacts:
    """Open a granule by its netCDF or header. Raises `InputError` if it has no radiance."""
    cube = open_cube(path)
    if role(cube) != "radiance":
        raise InputError(f"{path.name} has no radiance with wavelengths, so it cannot be masked")
    scene, trouble = None, ""
    try:
        scene = open_scene(path)
    except InputError as error:
        trouble = str(error).removeprefix(f"{path}: ")
    files = scene.files if scene else cube.files
    size = sum(file.stat().st_size for file in files)
    return SceneFacts(path, cube, scene, trouble, size, _sun(scene) if scene else None, _place(scene) if scene else "")


@dataclass(frozen=True)
class Card:
    """The rows shown of a granule before its picture; `located` if its observation geometry was found."""

    path: Path
    rows: list[tuple[str, str]]
    shape: tuple[int, int]
    located: bool

    @property
    def pixels(self) -> int:
        """Lines times samples."""
        return self.shape[0] * self.shape[1]


@dataclass(frozen=True, eq=False)
class Thumbnail:
    """Every ``step``-th pixel of a scene of ``shape`` (lines, samples)."""

    picture: Rgb
    shape: tuple[int, int]
    step: int


def read_card(path: Path) -> Card:
    """Open a granule. Raises `InputError` as `read_facts` does."""
    facts = read_facts(path)
    shape = (facts.radiance.lines, facts.radiance.samples)
    return Card(path, facts.rows(), shape, located=facts.scene is not None)


def read_picture(path: Path) -> Thumbnail:
    """Open a granule and read its true colour. Raises `InputError`."""
    scene = open_scene(path)
    picture, step = read_thumbnail(scene)
    return Thumbnail(picture, (scene.lines, scene.samples), step)


def read_probability_picture(path: Path) -> Thumbnail:
    """Read a saved probability as a picture in the map's colours. Raises `InputError`."""
    probability = read_probability(path).probability
    lines, samples = probability.shape
    return Thumbnail(probability_colour(probability), (lines, samples), 1)


def read_thumbnail(scene: Scene, longest: int = 128) -> tuple[Rgb, int]:
    """Read true colour of every n-th pixel, at most ``longest`` per side; return it and n. Raises `InputError`."""
    step = max(1, -(-max(scene.lines, scene.samples) // longest))
    return true_colour(read_preview(scene, step=step).reflectance[..., :3]), step


def _sun(scene: Scene) -> tuple[float, float] | None:
    lines = np.unique(np.linspace(0, scene.lines - 1, _LINES_LOOKED_AT).round().astype(int))
    angles = np.concatenate([scene.read_sun_zenith_deg(line, line + 1).ravel() for line in lines.tolist()])
    known = angles[np.isfinite(angles)]
    return (float(known.min()), float(known.max())) if known.size else None


def _place(scene: Scene) -> str:
    """Return where its middle is, if the files say."""
    location = scene.location()
    if location is None:
        return ", on a map grid" if scene.grid() else ""
    middle = scene.lines // 2, scene.samples // 2
    lon, lat = float(location.lon_deg[middle]), float(location.lat_deg[middle])
    if not (abs(lon) <= 360 and abs(lat) <= 90):
        return ""
    return f", {abs(lat):.2f}°{'N' if lat >= 0 else 'S'} {abs(lon):.2f}°{'E' if lon >= 0 else 'W'}"


def _size_text(size: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"
