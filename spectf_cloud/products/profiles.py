"""Named raster profiles: how mask, probability and classes are stored on any grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from rasterio.enums import Resampling
from rasterio.io import DatasetWriter

from spectf_cloud.classes import CLASSES
from spectf_cloud.classes import NODATA as NO_CLASS
from spectf_cloud.products.flags import CLEAR, CLOUD, MASK_NODATA

TILE = 256


@dataclass(frozen=True)
class RasterProfile:
    """One kind of band: its type and no-data value, its compression, and its description."""

    description: str
    dtype: type[np.generic]
    nodata: float
    predictor: int
    overviews: Resampling
    band_tags: Mapping[str, str]
    colours: Mapping[int, tuple[int, int, int, int]] = field(default_factory=dict)

    def geotiff(self) -> dict[str, Any]:
        """Return the creation options of a tiled GeoTIFF."""
        return {
            "driver": "GTiff",
            "dtype": self.dtype,
            "nodata": self.nodata,
            "count": 1,
            "compress": "lzw",
            "predictor": self.predictor,
            "tiled": True,
            "blockxsize": TILE,
            "blockysize": TILE,
        }

    def cog(self) -> dict[str, Any]:
        """Return the creation options of a Cloud-Optimised GeoTIFF."""
        return {
            "driver": "COG",
            "dtype": self.dtype,
            "nodata": self.nodata,
            "count": 1,
            "compress": "lzw",
            "predictor": {1: "no", 2: "standard", 3: "floating_point"}[self.predictor],
            "blocksize": TILE,
            "overview_resampling": self.overviews.name,
        }

    def describe(self, dataset: DatasetWriter, tags: Mapping[str, str]) -> None:
        """Write names, units, colours and ``tags`` into an open raster."""
        dataset.set_band_description(1, self.description)
        dataset.units = ("1",)
        dataset.update_tags(**tags)
        dataset.update_tags(1, **self.band_tags)
        if self.colours:
            dataset.write_colormap(1, dict(self.colours))


MASK = RasterProfile(
    description="SpecTf cloud mask",
    dtype=np.uint8,
    nodata=MASK_NODATA,
    predictor=1,
    overviews=Resampling.nearest,
    band_tags={"flag_values": f"{CLEAR} {CLOUD} {MASK_NODATA}", "flag_meanings": "clear cloud no_data"},
    colours={CLEAR: (46, 74, 98, 255), CLOUD: (255, 255, 255, 255), MASK_NODATA: (128, 128, 128, 0)},
)

PROBABILITY = RasterProfile(
    description="SpecTf cloud probability",
    dtype=np.float32,
    nodata=-9999.0,
    predictor=3,
    overviews=Resampling.average,
    band_tags={"valid_range": "0 1"},
)

CLASS = RasterProfile(
    description="classes",
    dtype=np.uint8,
    nodata=NO_CLASS,
    predictor=1,
    overviews=Resampling.nearest,
    band_tags={
        "flag_values": " ".join(str(each.value) for each in CLASSES),
        "flag_meanings": " ".join(each.name.replace(" ", "_") for each in CLASSES),
        **{f"class_{each.value}": each.name for each in CLASSES},
    },
    colours={each.value: (*each.colour, 255) for each in CLASSES} | {NO_CLASS: (128, 128, 128, 0)},
)
