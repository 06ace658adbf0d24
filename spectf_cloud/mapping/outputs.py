"""Which files are written of a masked scene."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Products:
    """The products besides the mask: ``OUT_prob.tif`` in the same folder, and files of these names."""

    probability: bool = False
    ortho: Path | None = None
    netcdf: Path | None = None
    quicklook: Path | None = None

    def paths(self, mask: Path) -> dict[str, Path]:
        """Return all files to write, by kind, the mask first.

        >>> [path.name for path in Products(probability=True).paths(Path("cloud.tif")).values()]
        ['cloud.tif', 'cloud_prob.tif']
        """
        named = {
            "mask": mask,
            "probability": mask.with_name(f"{mask.stem}_prob.tif") if self.probability else None,
            "ortho": self.ortho,
            "netcdf": self.netcdf,
            "quicklook": self.quicklook,
        }
        return {kind: path for kind, path in named.items() if path is not None}
