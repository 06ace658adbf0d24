"""A saved probability with the scene it belongs to: what the Result page shows, masks again and saves."""

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

# A picture in cells has no use for more.
_LONGEST_PICTURE = 640

#: What can be saved, and how such a file is usually called.
PRODUCTS = {
    "mask": ("Mask GeoTIFF, sensor grid", "_mask.tif"),
    "ortho": ("Mask on the map, COG", "_ortho.tif"),
    "netcdf": ("EMIT L2A-mask-style netCDF", "_mask.nc"),
    "quicklook": ("PNG to look at", "_quicklook.png"),
    "probability": ("Probability GeoTIFF", "_prob.tif"),
}

#: Radiance and its geometry; None to find it by name.
SceneFiles = tuple[Path, Path | None]


@dataclass(frozen=True, eq=False)
class SavedResult:
    """A probability file reopened. `scene` is None where its files were not found: `trouble` says why.

    `weights` is their name on the command line, None where it is not known.
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
        """(lines, samples) float32, −9999 or NaN no data."""
        return self.saved.probability

    @property
    def shape(self) -> tuple[int, int]:
        """(lines, samples)."""
        lines, samples = self.probability.shape
        return lines, samples

    @property
    def stem(self) -> str:
        """How files made from it begin."""
        return self.saved.path.name.removesuffix(".tif").removesuffix("_prob").removesuffix("_mask")

    def mask(self, threshold: float, buffer_pixels: int) -> MaskArray:
        """(lines, samples) uint8: 0 clear, 1 cloud, 255 no data."""
        return dilate(apply_threshold(self.probability, threshold), buffer_pixels)

    def with_picture(self) -> SavedResult:
        """With true colour read from the scene, where there is one. Raises `InputError`."""
        if self.scene is None:
            return self
        step = max(1, -(-max(self.shape) // _LONGEST_PICTURE))
        preview = read_preview(self.scene, self.tokens(self.scene), step)
        return replace(self, rgb=true_colour(preview.reflectance[..., :3]), rgb_step=step)

    def tokens(self, scene: Scene) -> Tokens:
        """What the network saw of the scene, as far as the file says. Raises `InputError`."""
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
    """Reopen a probability GeoTIFF with its scene: ``files``, or those it names, beside it or in ``folders``.

    Raises `InputError` where the probability cannot be read; a scene that cannot is no error.
    """
    saved = read_probability(path)
    try:
        threshold = saved.threshold()
    except UsageError:
        threshold = PUBLISHED_THRESHOLD
    try:
        scene = open_scene(*(files or _noted_files(saved, [path.parent, *folders])))
        if (scene.lines, scene.samples) != saved.probability.shape:
            raise InputError(f"{scene.image.path.name} is of another size than {path.name}")
    except InputError as error:
        return SavedResult(saved, threshold, None, str(error), None)
    return SavedResult(saved, threshold, scene, "", _weights(saved.tags))


def _weights(tags: Mapping[str, str]) -> str | None:
    """How to name the weights on the command line; None where only their maker knows the path."""
    if tags.get("SPECTF_WEIGHTS") in RELEASES:
        return tags["SPECTF_WEIGHTS"]
    return BUILTIN if tags.get("SPECTF_WEIGHTS_SHA256") == sha256_of(resource("weights.pt")) else None


def _noted_files(saved: SavedProbability, folders: Iterable[Path]) -> SceneFiles:
    """Radiance, and its geometry where the name noted in the file is there too. Raises `InputError`."""
    name, observation = saved.tags.get("SPECTF_RADIANCE", ""), saved.tags.get("SPECTF_OBSERVATION", "")
    radiance = next((folder / name for folder in folders if name and (folder / name).is_file()), None)
    if radiance is None:
        named = f"its radiance {name}" if name else "its radiance, which it does not name,"
        raise InputError(f"{named} is not beside {saved.path.name}; open the folder that holds it first")
    beside = radiance.parent / observation
    return radiance, beside if observation and beside.is_file() else None
