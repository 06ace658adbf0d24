"""A new mask from a probability file: another threshold, a buffer around clouds, no inference."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from spectf_cloud.files.atomic import check_output
from spectf_cloud.products.distance import dilate
from spectf_cloud.products.flags import apply_threshold, check_threshold, cloud_fraction
from spectf_cloud.products.geotiff import write_geotiff
from spectf_cloud.products.profiles import MASK
from spectf_cloud.products.saved_probability import read_probability


@dataclass(frozen=True)
class RethresholdReport:
    """Result of `rethreshold`. `cloud_fraction` is None where no pixel has data."""

    probability: Path
    out: Path
    threshold: float
    buffer_pixels: int
    cloud_fraction: float | None


def rethreshold(
    probability_path: Path,
    out_path: Path,
    threshold: float | None = None,
    buffer_pixels: int = 0,
    overwrite: bool = False,
) -> RethresholdReport:
    """Mask a file of probability again; georeference and provenance are kept.

    Parameters
    ----------
    probability_path
        A file that ``deploy-pt`` wrote by ``--proba`` or ``--netcdf``, or a similar one (see `read_probability`). It
        must fit in memory.
    out_path
        uint8 GeoTIFF on the same grid: 0 clear, 1 cloud, 255 no data.
    threshold
        Cloud where the probability is greater; by default the one noted in the file.
    buffer_pixels
        Pixels at most this far from cloud (Euclidean, centre to centre) are cloud too.

    Raises
    ------
    InputError
        The file is missing, unreadable or not a probability.
    UsageError
        A threshold outside 0 to 1 or an unknown one; a negative buffer; a suffix that promises another form.
    OutputError
        The output exists, is the input, or cannot be written.
    """
    if threshold is not None:
        check_threshold(threshold)
    check_output(out_path, overwrite=overwrite, inputs=(probability_path,), form="GeoTIFF")
    saved = read_probability(probability_path)
    chosen = saved.threshold() if threshold is None else float(threshold)
    mask = dilate(apply_threshold(saved.probability, chosen), buffer_pixels)
    tags = {
        **saved.tags,
        "SPECTF_THRESHOLD": str(chosen),
        "SPECTF_BUFFER_PIXELS": str(buffer_pixels),
        "SPECTF_PROBABILITY": probability_path.name,
    }
    write_geotiff(out_path, mask, MASK, saved.georeference, tags, overwrite)
    fraction = cloud_fraction(mask)
    return RethresholdReport(
        probability_path, out_path, chosen, buffer_pixels, None if math.isnan(fraction) else fraction
    )
