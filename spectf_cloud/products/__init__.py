"""The cloud mask of a scene and the files it can be written to."""

from spectf_cloud.products.mask import CloudMask, Preview

__all__ = ["CloudMask", "Preview"]
