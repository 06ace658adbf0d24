"""The truth of a simulated scene: classes, and the layers that they follow from, as GeoTIFF."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning

from spectf_cloud.classes import CLASSES as SKY_CLASSES
from spectf_cloud.classes import CLOUD_SHADOW, LAND, SNOW, THICK_CLOUD, THIN_CLOUD, WATER
from spectf_cloud.classes import NODATA as NO_CLASS
from spectf_cloud.products.profiles import CLASS
from spectf_cloud.simulation.cloud_fields import Land
from spectf_cloud.simulation.geometry import NODATA
from spectf_cloud.simulation.scene import SimulatedScene
from spectf_cloud.simulation.surfaces import CLASSES, SNOWS, WATERS

Float32Array = NDArray[np.float32]
ClassArray = NDArray[np.uint8]

#: Optical thickness at 550 nm from which liquid and ice cloud are thick and thin, and below which they are none.
THICK_LIQUID, THICK_ICE = 4.0, 1.5
THIN_LIQUID, THIN_ICE = 0.5, 0.1
CLEAR_LIQUID, CLEAR_ICE = 0.05, 0.03
#: A shadow has lost more than this share of the direct light.
SHADOW = 0.5


def classify(liquid: Float32Array, ice: Float32Array, lost: Float32Array, surface: ClassArray) -> ClassArray:
    """Decide the class of pixels, whose truth is known; of arrays of one shape, uint8.

    Parameters
    ----------
    liquid, ice
        Optical thickness of each at 550 nm; -9999 for no data.
    lost
        Share of direct sunlight that clouds elsewhere take, 0–1.
    surface
        `LAND`, `WATER` or `SNOW`.

    Returns
    -------
    The values of `spectf_cloud.classes`; 255 for no data, and for what is between clear and thin cloud.
    """
    classes = np.full(liquid.shape, NO_CLASS, np.uint8)
    clear = (liquid < CLEAR_LIQUID) & (ice < CLEAR_ICE)
    classes[clear] = np.where(lost > SHADOW, CLOUD_SHADOW, surface)[clear]
    classes[(liquid >= THIN_LIQUID) | (ice >= THIN_ICE)] = THIN_CLOUD
    classes[(liquid >= THICK_LIQUID) | (ice >= THICK_ICE)] = THICK_CLOUD
    classes[(liquid == NODATA) | (ice == NODATA)] = NO_CLASS
    return classes


def surface_kind(land: Land) -> ClassArray:
    """Return which of `LAND`, `WATER` and `SNOW` has the largest share of each pixel, (lines, samples)."""
    shares = np.zeros((3, *land.shares.shape[1:]), np.float32)
    for number, share in zip(land.classes, land.shares, strict=True):
        name = CLASSES[number - 1]
        shares[WATER if name in WATERS else SNOW if name in SNOWS else LAND] += share
    kind: ClassArray = shares.argmax(axis=0).astype(np.uint8)
    return kind


def class_truth(scene: SimulatedScene) -> ClassArray:
    """Return the class of every pixel of a scene, (lines, samples), as `classify` decides it."""
    layers = scene.truth()
    thickness = layers["liquid_optical_thickness"], layers["ice_optical_thickness"]
    return classify(*thickness, layers["shadow"], surface_kind(scene.land))


def class_shares(classes: ClassArray, valid: NDArray[np.bool_]) -> dict[str, float]:
    """Return the share of valid pixels in each class that there is, by name, and of those left out."""
    counts = np.bincount(classes[valid], minlength=256) / max(int(valid.sum()), 1)
    shares = {each.name: float(counts[each.value]) for each in SKY_CLASSES} | {"left out": float(counts[NO_CLASS])}
    return {name: share for name, share in shares.items() if share > 0}


def write_classes(path: Path, classes: ClassArray, place: Mapping[str, Any], attributes: Mapping[str, str]) -> None:
    """Write classes (lines, samples) with their names and colours; ``place`` is for `rasterio.open`."""
    height, width = classes.shape
    with rasterio.open(path, "w", height=height, width=width, **CLASS.geotiff(), **place) as file:
        file.write(classes, 1)
        rules = {
            "thick_cloud": f"optical thickness of water >= {THICK_LIQUID:g} or ice >= {THICK_ICE:g}",
            "thin_cloud": f"optical thickness of water >= {THIN_LIQUID:g} or ice >= {THIN_ICE:g}",
            "clear": f"optical thickness of water < {CLEAR_LIQUID:g} and ice < {CLEAR_ICE:g}; what is between is 255",
            "cloud_shadow": f"clear, more than {SHADOW:.0%} of the direct light lost",
        }
        CLASS.describe(file, {**attributes, **rules})


def write_truth(
    path: Path, layers: Mapping[str, Float32Array], attributes: Mapping[str, str], place: Mapping[str, Any]
) -> None:
    """Write named layers, each (lines, samples) float32, no-data -9999, as bands described by their name."""
    lines, samples = next(iter(layers.values())).shape
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(
            path, "w", driver="GTiff", width=samples, height=lines, count=len(layers), dtype="float32",
            nodata=NODATA, compress="lzw", predictor=3, tiled=True, blockxsize=256, blockysize=256, **place,
        ) as file:  # fmt: skip
            for band, (name, layer) in enumerate(layers.items(), start=1):
                file.write(layer, band)
                file.set_band_description(band, name)
            file.update_tags(
                **attributes,
                phase="0 none, 1 liquid, 2 ice, 3 ice over liquid",
                surface_class=", ".join(f"{number} {name}" for number, name in enumerate(CLASSES, start=1)),
                shadow="share of direct sunlight taken by clouds elsewhere",
                mask="1 cloud (liquid >= 3 or ice >= 0.2), 0 not, 255 no data",
            )
