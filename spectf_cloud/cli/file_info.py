"""What a file is, what it holds, what can be done with it and what is missing: for ``spectf-cloud info FILE``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from spectf_cloud.catalogue.inputs import find_granules
from spectf_cloud.catalogue.search import Search
from spectf_cloud.data.spectra_file import open_file
from spectf_cloud.dataset import find_product, is_granule, open_cube, open_raster, open_scene, role
from spectf_cloud.errors import InputError, SpectfError
from spectf_cloud.files.foreign_weights import foreign_kind
from spectf_cloud.files.signature import HDF5, TIFF, is_text, kind_of
from spectf_cloud.products.quicklook import time_text
from spectf_cloud.products.saved_probability import read_probability
from spectf_cloud.readers import raster
from spectf_cloud.readers.generic import ScaledCube
from spectf_cloud.readers.irradiance import read_irradiance
from spectf_cloud.readers.places import find_place
from spectf_cloud.scene import Cube, Grid, Scene
from spectf_cloud.tokens import FEW_BANDS
from spectf_cloud.weights import Checkpoint, read_checkpoint

_WEIGHTS = (".pt", ".pth", ".ckpt", ".safetensors", ".onnx", ".engine", ".plan")
_UNITS = {"radiance": "uW cm-2 sr-1 nm-1"}
_SUN_LINES = 16
# Of networks to compare with.
_SCORED = {"resnet": "cloud-eval resnet", "xgboost": "cloud-eval xgboost"}


@dataclass(frozen=True)
class FileInfo:
    """What is known of a file.

    Attributes
    ----------
    what
        In a few words; empty never.
    facts
        By name, as programs read them; `lines` shows them to people.
    can
        Commands and calls that take it.
    missing
        What they would need besides, and how to give it.
    notes
        What was assumed.
    """

    path: str
    what: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    can: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def fields(self) -> dict[str, Any]:
        """All of it, for programs."""
        told = {"can": self.can, "missing": self.missing, "notes": self.notes}
        return {"file": self.path, "what": self.what, **self.facts, **told}

    @property
    def lines(self) -> list[str]:
        """All of it, for people."""
        shown = [(name.replace("_", " "), _text(value)) for name, value in self.facts.items() if name not in _ONLY_JSON]
        for name, texts in (("can", self.can), ("missing", self.missing), ("note", self.notes)):
            shown += [(name, text) for text in texts]
        return [f"{self.path}: {self.what}", *(f"  {name:<18}{text}" for name, text in shown if text)]


_ONLY_JSON = ("wavelength_nm", "fwhm_nm", "geotransform", "crs_wkt", "files")


def describe(spec: str, sensor: str | None = None, quantity: str | None = None, scale: float | None = None) -> FileInfo:
    """Say what a file, a product's folder, an archive or an address is. Raises `InputError` where it cannot be read.

    ``sensor``, ``quantity`` and ``scale`` are as for `open_raster`.
    """
    place = find_place(spec)
    given = {"sensor": sensor, "quantity": quantity, "scale": scale}
    if place.name is None:
        if not place.path.exists():
            raise InputError(f"{place.path} does not exist")
        for known in (_folder, _weights, _irradiance, _labelled_spectra, _saved_probability):
            if found := known(place.path):
                return found
        if all(value is None for value in given.values()) and _of_spectrometer(place.path):
            return _granule(place.path)
    return _image(spec, place.path, given)


def _image(spec: str, path: Path, given: dict[str, Any]) -> FileInfo:
    """Describe an image of reflectance, or say what it lacks or is instead."""
    try:
        return _reflectance(spec, open_raster(spec, **given))
    except InputError as error:
        reason = _reason(error, path)
        cube = _cube(path)
        if cube is not None:
            what = f"{_format(cube)} that does not say enough"
            return FileInfo(spec, what, _facts(cube), missing=(reason,))
        kind = kind_of(path) if path.is_file() else None
        if kind is None and path.is_file() and is_text(path):
            return FileInfo(spec, "a text, not a scene", _size(path))
        if kind is None or kind in (TIFF, HDF5):
            raise
        return FileInfo(spec, f"{kind.name}, not a scene", _size(path), missing=(kind.way_out,))


def _reflectance(spec: str, scene: Scene) -> FileInfo:
    image = scene.image
    can = [f"sensors match {spec}"] if image.path.is_file() and isinstance(image, ScaledCube) else []
    opened = f"spectf_cloud.open_raster({spec!r})"
    can.append(f"Python: {f'spectf_cloud.mask_scene({opened})' if image.bands >= FEW_BANDS else opened}")
    missing = () if image.bands >= FEW_BANDS else (f"{FEW_BANDS} bands or more, for networks of imaging spectrometers",)
    product = image.facts.product if image.facts else _format(image)
    what = f"{product}: {image.quantity.replace('_', ' ')}"
    notes = image.facts.notes if image.facts else ()
    notes = tuple(note.removeprefix(f"{image.path}: ") for note in notes)
    return FileInfo(spec, what, _facts(image), tuple(can), missing, notes)


def _of_spectrometer(path: Path) -> bool:
    """Whether a file is radiance or geometry of an imaging spectrometer, and of no known product."""
    if not path.is_file() or find_product(path) is not None:
        return False
    cube = None if is_granule(path) else _cube(path)
    return is_granule(path) or (cube is not None and role(cube) == "observation")


def _folder(path: Path) -> FileInfo | None:
    """Describe a folder of granules; None where it has none, or is a product."""
    if not path.is_dir() or find_product(path) is not None:
        return None
    try:
        granules = find_granules([str(path)], Search()).granules
    except SpectfError:
        return None
    return FileInfo(
        str(path), "a folder of granules", {"granules": len(granules)}, (f"deploy-many {path} --outdir OUT",)
    )


def _granule(path: Path) -> FileInfo:
    """Describe radiance or observation geometry."""
    cube = open_cube(path)
    if role(cube) == "observation":
        way = f"deploy-pt OUT.tif {path} RDN, with the radiance of the same granule"
        return FileInfo(str(path), "observation geometry (OBS)", _facts(cube), (way,))
    try:
        scene = open_scene(path)
    except InputError as error:
        reason = _reason(error, path)
        return FileInfo(str(path), "radiance", _facts(cube), (f"sensors match {path}",), (reason,))
    ways = (
        f"deploy-pt OUT.tif {path}",
        f"deploy-many {path} --outdir OUT",
        f"explain {path} LINE,SAMPLE --out OUT.png",
    )
    facts = _facts(cube) | {"sun_zenith_deg": _sun(scene), "files": [str(file) for file in scene.files]}
    assert scene.observation is not None  # open_scene saw to it
    return FileInfo(str(path), "radiance", facts | {"observation": scene.observation.path.name}, ways)


def _irradiance(path: Path) -> FileInfo | None:
    """Describe a solar irradiance; None where it is none."""
    if path.suffix.lower() != ".npy" or not path.is_file():
        return None
    try:
        wavelength_nm, irradiance = read_irradiance(path).T
    except SpectfError:
        return None
    facts = _size(path) | {"samples": len(irradiance), "units": "uW cm-2 nm-1"}
    facts |= {"first_nm": float(wavelength_nm[0]), "last_nm": float(wavelength_nm[-1])}
    return FileInfo(str(path), "a solar irradiance", facts, (f"deploy-pt OUT.tif SCENE --irradiance {path}",))


def _labelled_spectra(path: Path) -> FileInfo | None:
    """Describe a file of labelled spectra; None where it is none."""
    import h5py

    if not path.is_file() or kind_of(path) != HDF5:
        return None
    try:
        with h5py.File(path) as file:
            if "spectra" not in file or "labels" not in file:
                return None
    except (OSError, RuntimeError):
        return None
    with open_file(path) as spectra:
        labels = np.bincount(spectra.labels, minlength=3)
        facts = _size(path) | {
            "spectra": len(spectra),
            "bands": len(spectra.wavelength_nm),
            "first_nm": float(spectra.wavelength_nm.min()),
            "last_nm": float(spectra.wavelength_nm.max()),
            "scenes": len(spectra.fids),
            **{name: int(labels[label]) for label, name in enumerate(("clear", "cloud", "shadow"))},
        }
        can = (f"dataset info {path}", "train TRAIN.hdf5, with a table of its scenes", "cloud-eval")
        return FileInfo(str(path), "labelled spectra", facts, can, notes=spectra.notes)


def _saved_probability(path: Path) -> FileInfo | None:
    """Describe a product of a mask: its probability, or the mask itself; None where it is neither."""
    if not path.is_file() or kind_of(path) not in (TIFF, HDF5):
        return None
    tags = _product_tags(path)
    if not tags:
        return None
    try:
        probability = read_probability(path).probability
    except SpectfError:
        return FileInfo(str(path), "a cloud mask that spectf-cloud wrote", _size(path) | tags)
    size = {"lines": probability.shape[0], "samples": probability.shape[1]}
    can = (f"threshold {path} MASK.tif --threshold 0.5",)
    return FileInfo(str(path), "cloud probability that spectf-cloud wrote", _size(path) | size | tags, can)


def _product_tags(path: Path) -> dict[str, str]:
    """The provenance that masks carry; empty where there is none."""
    import h5py

    try:
        if kind_of(path) == HDF5:
            with h5py.File(path) as file:
                tags = {str(name): str(text) for name, text in file.attrs.items()}
        else:
            with raster.readable(path):
                tags = raster.open_cube(path).raster.tags()
    except (InputError, OSError, RuntimeError):
        return {}
    return {name: text for name, text in tags.items() if name.startswith("SPECTF_")}


def _weights(path: Path) -> FileInfo | None:
    """Describe a network, or what only somebody with networks would keep; None where it is neither."""
    suffix = path.suffix.lower()
    if not path.is_file():
        return None
    with path.open("rb") as stream:
        trees = suffix == ".json" and b'"learner"' in stream.read(64)
    if suffix not in _WEIGHTS and not trees:
        return None
    found = read_checkpoint(path)
    foreign = None if found.published or found.kind != "spectf" else foreign_kind(path, found.kind)
    if foreign:
        what, _, way_out = foreign.partition("; ")
        return FileInfo(str(path), what, _size(path), missing=(way_out,) if way_out else ())
    return _network(path, found)


def _network(path: Path, found: Checkpoint) -> FileInfo:
    spectf = found.kind == "spectf"
    facts = _size(path) | {
        "name": found.name,
        "network": found.kind,
        "threshold": found.threshold,
        "bands": "any" if found.bands_nm is None else len(found.bands_nm),
        "takes": list(found.quantities),
        "classes": list(found.classes),
        "irradiance": found.irradiance_name,
        "sha256": found.sha256,
    }
    notes = [] if found.irradiance_sha256 or not spectf else ["nothing says which solar irradiance it was trained with"]
    if spectf:
        facts["parameters"] = sum(value.size for value in found.tensors().values())
        can = [f"deploy-pt OUT.tif SCENE --weights {path}", f"weights verify {path}"]
    else:
        can = [_SCORED.get(found.kind, "cloud-eval")]
    return FileInfo(str(path), f"weights of a network ({found.kind})", facts, tuple(can), notes=tuple(notes))


def _facts(cube: Cube) -> dict[str, Any]:
    """What a cube says of itself, in the order in which it is read."""
    sensor, told = cube.sensor, cube.facts
    facts: dict[str, Any] = {"lines": cube.lines, "samples": cube.samples, "bands": cube.bands}
    if cube.band_names:
        facts["band_names"] = list(cube.band_names)
    if sensor is not None:
        centres, widths = sensor.wavelength_nm.tolist(), sensor.fwhm_nm.tolist()
        facts |= {"sensor": sensor.name, "first_nm": min(centres), "last_nm": max(centres)}
        facts |= {"quantity": cube.quantity, "units": _UNITS.get(cube.quantity, "1")}
        facts |= {"wavelength_nm": centres, "fwhm_nm": widths, "bad_bands": list(cube.marked_bad)}
    facts["acquired"] = time_text(cube.name) or None
    if told is not None:
        seen = told.acquired.isoformat() if told.acquired else facts["acquired"]
        facts |= {"level": told.level, "satellite": told.satellite, "acquired": seen}
        facts |= {"sun_zenith_deg": told.sun_zenith_deg, "sun_azimuth_deg": told.sun_azimuth_deg}
    facts |= {name.removeprefix("SPECTF_").lower(): text for name, text in cube.tags.items()}
    facts |= {"stored": str(cube.stored), "simulated": cube.simulated or None}
    files = [file for file in cube.files if file.is_file()]
    facts |= {"bytes": sum(file.stat().st_size for file in files), "files": [str(file) for file in files]}
    return facts | _grid(cube.grid())


def _grid(grid: Grid | None) -> dict[str, Any]:
    if grid is None:
        return {}
    from rasterio.crs import CRS

    epsg = CRS.from_wkt(grid.crs_wkt).to_epsg()
    pixel = abs(grid.geotransform[1])
    return {
        "crs": f"EPSG:{epsg}" if epsg else "its own, see crs_wkt",
        "pixel_size": pixel,
        "upper_left": [grid.geotransform[0], grid.geotransform[3]],
        "geotransform": list(grid.geotransform),
        "crs_wkt": grid.crs_wkt,
    }


def _sun(scene: Scene) -> float | None:
    """The mean zenith angle of the sun on some lines, degrees."""
    lines = np.unique(np.linspace(0, scene.lines - 1, _SUN_LINES).round().astype(int))
    angles = np.concatenate([scene.read_sun_zenith_deg(line, line + 1).ravel() for line in lines.tolist()])
    return round(float(np.nanmean(angles)), 2) if np.isfinite(angles).any() else None


def _cube(path: Path) -> Cube | None:
    try:
        return open_cube(path)
    except InputError:
        return None


def _format(cube: Cube) -> str:
    return {"RasterCube": "a GeoTIFF", "EnviCube": "an ENVI raster", "EmitCube": "a netCDF"}.get(
        type(cube).__name__, "a raster"
    )


def _reason(error: SpectfError, path: Path) -> str:
    return str(error).removeprefix(f"{path}: ").removeprefix(f"{path} ")


def _size(path: Path) -> dict[str, Any]:
    return {"bytes": path.stat().st_size}


def _text(value: Any) -> str:
    """A fact as people read it; empty where there is none."""
    if isinstance(value, list):
        shown = ", ".join(_text(each) for each in value[:8])
        return shown + (f", … ({len(value)})" if len(value) > 8 else "")
    if isinstance(value, float):
        return f"{value:.6g}" if abs(value) < 1e5 else f"{value:.1f}"
    return "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)
