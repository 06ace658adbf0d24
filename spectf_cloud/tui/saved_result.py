"""A saved probability with its scene, which the Result page shows, masks again and saves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from spectf_cloud.dataset import open_scene
from spectf_cloud.errors import InputError, UsageError
from spectf_cloud.files.atomic import FORMS, check_suffix
from spectf_cloud.files.resources import resource
from spectf_cloud.products.cloud_mask import CloudMask
from spectf_cloud.products.distance import dilate
from spectf_cloud.products.flags import FloatArray, MaskArray, apply_threshold
from spectf_cloud.products.panels import Rgb, true_colour
from spectf_cloud.products.preview import read_preview
from spectf_cloud.products.rethreshold import rethreshold
from spectf_cloud.products.saved_probability import SavedProbability, read_probability
from spectf_cloud.scene import Scene
from spectf_cloud.tokens import Tokens
from spectf_cloud.weights import BUILTIN, PUBLISHED_THRESHOLD, RELEASES, sha256_of

# More pixels would not be visible in cells.
MAX_PICTURE_PIXELS = 640

#: What can be saved, and the usual ending of its name.
PRODUCTS = {
    "mask": ("Mask GeoTIFF, sensor grid", "_mask.tif"),
    "ortho": ("Mask on the map, COG", "_ortho.tif"),
    "netcdf": ("EMIT L2A-mask-style netCDF", "_mask.nc"),
    "quicklook": ("PNG to look at", "_quicklook.png"),
    "probability": ("Probability GeoTIFF", "_prob.tif"),
}

#: Radiance and its geometry; None means to find it by name.
SceneFiles = tuple[Path, Path | None]


@dataclass(frozen=True, eq=False)
class SavedResult:
    """A reopened probability file. `scene` is None if its files were not found, and `trouble` says why.

    `weights` is the weights' name on the command line, None if unknown.
    """

    saved: SavedProbability
    threshold: float
    scene: Scene | None
    trouble: str
    weights: str | None
    rgb: Rgb | None = None
    rgb_step: int = 1

    @property
    def probability(self) -> FloatArray:
        """Cloud probability (lines, samples) float32; −9999 or NaN is no data."""
        return self.saved.probability

    @property
    def shape(self) -> tuple[int, int]:
        """Lines and samples."""
        lines, samples = self.probability.shape
        return lines, samples

    @property
    def stem(self) -> str:
        """How the names of files made from it start."""
        return self.saved.path.name.removesuffix(".tif").removesuffix("_prob").removesuffix("_mask")

    def mask(self, threshold: float, buffer_pixels: int) -> MaskArray:
        """Return the mask (lines, samples) uint8: 0 clear, 1 cloud, 255 no data."""
        return dilate(apply_threshold(self.probability, threshold), buffer_pixels)

    def with_picture(self) -> SavedResult:
        """Return the result with true colour read from the scene, if any. Raises `InputError`."""
        if self.scene is None:
            return self
        step = max(1, -(-max(self.shape) // MAX_PICTURE_PIXELS))
        preview = read_preview(self.scene, self.tokens(self.scene), step)
        return replace(self, rgb=true_colour(preview.reflectance[..., :3]), rgb_step=step)

    def tokens(self, scene: Scene) -> Tokens:
        """Return the tokens that the network saw, as noted in the file. Raises `InputError`."""
        return Tokens.of_tags(scene, self.saved.tags)

    def save(self, product: str, path: Path, threshold: float, buffer_pixels: int, overwrite: bool = False) -> None:
        """Write one of `PRODUCTS`. Raises `SpectfError`."""
        check_suffix(path, FORMS[product])
        if product == "mask":
            rethreshold(self.saved.path, path, threshold, buffer_pixels, overwrite)
            return
        if self.scene is None:
            raise UsageError(f"only the mask can be saved: {self.trouble}")
        mask = CloudMask(self.scene, self.probability, self.threshold, self.saved.tags)
        mask = mask.with_threshold(threshold).with_buffer(buffer_pixels)
        if product == "quicklook":
            preview = read_preview(self.scene, self.tokens(self.scene))
            preview.reflectance[~(self.probability >= 0)] = np.nan
            mask = replace(mask, preview=preview)
        writers = {
            "ortho": mask.to_ortho,
            "netcdf": mask.to_netcdf,
            "quicklook": mask.to_quicklook,
            "probability": mask.to_probability_geotiff,
        }
        writers[product](path, overwrite=overwrite)


def load_result(path: Path, files: SceneFiles | None = None, folders: Iterable[Path] = ()) -> SavedResult:
    """Reopen a probability GeoTIFF with its scene: ``files``, or the files it names, next to it or in ``folders``.

    Raises `InputError` if the probability cannot be read; an unreadable scene is not an error.
    """
    saved = read_probability(path)
    try:
        threshold = saved.threshold()
    except UsageError:
        threshold = PUBLISHED_THRESHOLD
    try:
        scene = open_scene(*(files or _noted_files(saved, [path.parent, *folders])))
        if (scene.lines, scene.samples) != saved.probability.shape:
            raise InputError(f"{scene.image.path.name} differs in size from {path.name}")
    except InputError as error:
        return SavedResult(saved, threshold, None, str(error), None)
    return SavedResult(saved, threshold, scene, "", _weights(saved.tags))


def _weights(tags: Mapping[str, str]) -> str | None:
    """Return the weights' name on the command line; None for weights known only by a path."""
    if tags.get("SPECTF_WEIGHTS") in RELEASES:
        return tags["SPECTF_WEIGHTS"]
    return BUILTIN if tags.get("SPECTF_WEIGHTS_SHA256") == sha256_of(resource("weights.pt")) else None


def _noted_files(saved: SavedProbability, folders: Iterable[Path]) -> SceneFiles:
    """Return the radiance and, if found, the geometry noted in the file. Raises `InputError`."""
    name, observation = saved.tags.get("SPECTF_RADIANCE", ""), saved.tags.get("SPECTF_OBSERVATION", "")
    radiance = next((folder / name for folder in folders if name and (folder / name).is_file()), None)
    if radiance is None:
        named = f"its radiance {name}" if name else "its radiance, which it does not name,"
        raise InputError(f"{named} is not next to {saved.path.name}; open the folder that holds it first")
    geometry = radiance.parent / observation
    return radiance, geometry if observation and geometry.is_file() else None
