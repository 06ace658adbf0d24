"""`CloudMask`: the cloud probability of each pixel of a scene, and the products made from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spectf_cloud.errors import InputError, MissingExtraError, UsageError
from spectf_cloud.files.atomic import check_output
from spectf_cloud.products import geotiff, netcdf, ortho, quicklook
from spectf_cloud.products.distance import dilate
from spectf_cloud.products.flags import (
    MASK_NODATA,
    SIMULATED_TAG,
    FloatArray,
    MaskArray,
    Preview,
    apply_threshold,
    check_threshold,
    cloud_fraction,
)
from spectf_cloud.scene import NODATA, Scene

if TYPE_CHECKING:
    import xarray


@dataclass(frozen=True, eq=False)
class CloudMask:
    """Cloud probability of a scene on its sensor grid.

    Attributes
    ----------
    scene
        The masked scene; products take name, location and grid from it.
    probability
        (lines, samples) float32, 0 to 1, −9999 where there is no data.
    threshold
        A pixel is cloud when its probability is greater than this.
    tags
        Provenance, written into every file: ``SPECTF_VERSION``, ``SPECTF_WEIGHTS`` and so on.
    preview
        Bands for pictures, or None.
    buffer_pixels
        Clear pixels at most this many pixels from cloud count as cloud too.
    """

    scene: Scene
    probability: FloatArray
    threshold: float
    tags: Mapping[str, str]
    preview: Preview | None = None
    buffer_pixels: int = 0

    def __post_init__(self) -> None:
        check_threshold(self.threshold)
        if self.probability.shape != (self.scene.lines, self.scene.samples):
            raise InputError(
                f"{self.scene.name}: the probability is {self.probability.shape}, but the scene has "
                f"{self.scene.lines} lines and {self.scene.samples} samples; these belong to different scenes"
            )

    def __repr__(self) -> str:
        return f"CloudMask({self.scene.name!r}, {self.cloud_fraction:.1%} cloud above {self.threshold:g})"

    @property
    def mask(self) -> MaskArray:
        """Return the mask (lines, samples) uint8: 0 clear, 1 cloud, 255 no data."""
        return dilate(apply_threshold(self.probability, self.threshold), self.buffer_pixels)

    @property
    def simulated(self) -> bool:
        """Return whether the scene was computed, not measured: pictures and titles say so."""
        return SIMULATED_TAG in self.tags

    @property
    def title(self) -> str:
        """Return a title of one line."""
        return f"{'SIMULATED: ' if self.simulated else ''}SpecTf cloud mask of {self.scene.name}"

    @property
    def cloud_fraction(self) -> float:
        """Return the share of cloud among the pixels with data, 0 to 1; NaN when none has."""
        return cloud_fraction(self.mask)

    def with_threshold(self, threshold: float) -> CloudMask:
        """Return the same probabilities with another threshold (0 to 1). Raises `UsageError`."""
        tags = {**self.tags, "SPECTF_THRESHOLD": str(float(threshold))}
        return replace(self, threshold=float(threshold), tags=tags)

    def with_buffer(self, pixels: int) -> CloudMask:
        """Return the mask with another buffer around clouds, pixels. Raises `UsageError` for a negative one."""
        if pixels < 0:
            raise UsageError(f"a buffer of {pixels} pixels is not possible; give 0 or more")
        return replace(self, buffer_pixels=pixels, tags={**self.tags, "SPECTF_BUFFER_PIXELS": str(pixels)})

    def to_geotiff(self, path: str | Path, overwrite: bool = False) -> None:
        """Write the mask on the sensor grid: uint8, 0 clear, 1 cloud, 255 no data. Raises `OutputError`."""
        geotiff.write_mask(self, self._output(path, overwrite), overwrite)

    def to_probability_geotiff(self, path: str | Path, overwrite: bool = False) -> None:
        """Write the probability on the sensor grid: float32, no data −9999. Raises `OutputError`."""
        geotiff.write_probability(self, self._output(path, overwrite), overwrite)

    def to_ortho(self, path: str | Path, overwrite: bool = False) -> None:
        """Write the orthorectified mask as a Cloud-Optimised GeoTIFF.

        Raises `InputError` when the scene has no look-up table, `OutputError` when it cannot be written.
        """
        ortho.write_ortho(self, self._output(path, overwrite), overwrite)

    def to_netcdf(self, path: str | Path, overwrite: bool = False) -> None:
        """Write probability, flag and buffer distance in the layout of EMIT's L2A mask. Raises `OutputError`."""
        netcdf.write_netcdf(self, self._output(path, overwrite), overwrite)

    def to_quicklook(self, path: str | Path, overwrite: bool = False) -> None:
        """Write one PNG to look at: true colour, false colour, probability, outline. Raises `OutputError`."""
        quicklook.write_quicklook(self, self._output(path, overwrite), overwrite)

    def to_xarray(self) -> xarray.Dataset:
        """Return ``cloud_probability`` (NaN no data) and ``cloud_mask`` over (downtrack, crosstrack).

        Longitude, latitude and elevation become coordinates where the scene has them. Raises
        `MissingExtraError` without xarray.
        """
        try:
            import xarray
        except ImportError as error:
            raise MissingExtraError("to_xarray needs xarray; install it with: pip install xarray") from error
        dims = ("downtrack", "crosstrack")
        valid = np.where(self.probability >= 0, self.probability, np.float32(np.nan))
        flags = {"flag_values": np.array([0, 1], np.uint8), "flag_meanings": "clear cloud", "_FillValue": MASK_NODATA}
        coords = {}
        location = self.scene.location()
        if location is not None:
            places = {
                "lon": (location.lon_deg, "degrees_east"),
                "lat": (location.lat_deg, "degrees_north"),
                "elev": (location.elevation_m, "m"),
            }
            coords = {
                name: (dims, np.where(values == NODATA, np.nan, values), {"units": units})
                for name, (values, units) in places.items()
            }
        return xarray.Dataset(
            {"cloud_probability": (dims, valid, {"units": "1"}), "cloud_mask": (dims, self.mask, flags)},
            coords=coords,
            attrs={"title": self.title, **self.tags},
        )

    def _repr_html_(self) -> str:
        return quicklook.to_html(self)

    def _output(self, path: str | Path, overwrite: bool) -> Path:
        target = Path(path)
        check_output(target, overwrite=overwrite, inputs=self.scene.files)
        return target
