"""What lies between the radiance of a file and the network: which bands, times what, and where there is no data."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.scene import missing
from spectf_cloud.toa import toa_reflectance

BoolArray = NDArray[np.bool_]
Float32Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Preparation:
    """Everything needed to turn pixels of a radiance file into what a network sees.

    Attributes
    ----------
    kept
        (bands,) positions among the file's bands, in the order of wavelength.
    factors
        (bands,) float64 pi d²/E0, see `reflectance_per_radiance`.
    nodata
        The file's own no-data value; −9999 is none in any file.
    preview
        (6,) positions among the kept bands that the quicklook shows.
    """

    kept: NDArray[np.intp]
    factors: NDArray[np.float64]
    nodata: float
    preview: NDArray[np.intp]

    def reflectance(
        self, radiance: NDArray[np.floating], sun_zenith_deg: NDArray[np.float64]
    ) -> tuple[BoolArray, Float32Array]:
        """Which pixels can be masked, and the TOA reflectance of just those.

        radiance: (n, bands of the file); sun_zenith_deg: (n,), NaN where unusable. Returns (n,) bool and
        (usable, bands) float32. No pixel's numbers depend on its company.
        """
        usable = np.isfinite(sun_zenith_deg)
        toa = np.empty((len(radiance), len(self.kept)), np.float32)
        with np.errstate(invalid="ignore", over="ignore"):
            for source, target in self._runs:
                values = radiance[:, source]
                usable &= ~missing(values, self.nodata).any(axis=1)
                toa_reflectance(values, self.factors[target], sun_zenith_deg, out=toa[:, target])
        return usable, toa if usable.all() else toa[usable]

    @cached_property
    def _runs(self) -> tuple[tuple[slice, slice], ...]:
        """Neighbouring kept bands as slices of the file's bands and of the kept ones: slices copy nothing."""
        ends = np.flatnonzero(np.diff(self.kept) != 1) + 1
        targets = zip([0, *ends.tolist()], [*ends.tolist(), len(self.kept)], strict=True)
        return tuple((slice(int(self.kept[a]), int(self.kept[b - 1]) + 1), slice(a, b)) for a, b in targets)
