"""The truth of a simulated scene as a GeoTIFF on the sensor grid."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning

from spectf_cloud.simulation.geometry import NODATA
from spectf_cloud.simulation.surfaces import CLASSES


def write_truth(path: Path, layers: dict[str, NDArray[np.float32]], attributes: dict[str, str]) -> None:
    """Write named layers, each (lines, samples) float32, no-data -9999, as bands described by their name."""
    lines, samples = next(iter(layers.values())).shape
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(
            path, "w", driver="GTiff", width=samples, height=lines, count=len(layers), dtype="float32",
            nodata=NODATA, compress="lzw", predictor=3, tiled=True, blockxsize=256, blockysize=256,
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
