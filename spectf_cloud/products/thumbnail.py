"""A small picture of a masked scene for the catalogue: true colour with the clouds' outline."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from spectf_cloud.files.atomic import atomic_output
from spectf_cloud.products import panels
from spectf_cloud.products.cloud_mask import CloudMask
from spectf_cloud.products.flags import CLOUD, MASK_NODATA

_MAX_SIDE = 256
_QUALITY = 82


def write_thumbnail(mask: CloudMask, path: Path) -> None:
    """Write a JPEG of at most 256 pixels a side; no data is hatched. Raises `OutputError`."""
    with atomic_output(path, overwrite=True) as temporary:
        render(mask).save(temporary, format="JPEG", quality=_QUALITY)


def render(mask: CloudMask) -> Image.Image:
    """Draw the picture; a large scene is thinned evenly, a small one enlarged evenly."""
    longest = max(mask.mask.shape)
    step = -(-longest // _MAX_SIDE)
    flag = mask.mask[::step, ::step]
    if mask.preview is None:
        picture = panels.mask_colour(flag == CLOUD)
    else:
        picture = panels.true_colour(mask.preview.reflectance[::step, ::step, :3])
    factor = max(1, _MAX_SIDE // max(flag.shape))
    flag, picture = (values.repeat(factor, axis=0).repeat(factor, axis=1) for values in (flag, picture))
    nodata = flag == MASK_NODATA
    outlined = panels.outlined(picture, flag == CLOUD, nodata, width=1)
    return Image.fromarray(np.where(nodata[..., None], panels.hatched(*flag.shape), outlined))
