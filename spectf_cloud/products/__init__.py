"""The cloud mask of a scene and the files it can be written to."""

from spectf_cloud.products.cloud_mask import CloudMask
from spectf_cloud.products.flags import Preview

__all__ = ["CloudMask", "Preview"]
