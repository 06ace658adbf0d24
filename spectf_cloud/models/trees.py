"""Boosted trees of XGBoost: those trained here, and the published ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.errors import InputError, MissingExtraError, WeightsError
from spectf_cloud.files.atomic import atomic_output


class TreesBackend:
    """Cloud probability by boosted trees."""

    name = "xgboost"
    fidelity = "exact"

    def __init__(self, booster: Any) -> None:
        self.booster = booster

    @classmethod
    def load(cls, path: Path, bands: int) -> TreesBackend:
        """Load a model in XGBoost's JSON. Raises `WeightsError`, and `InputError` for other bands."""
        xgboost = need_xgboost()
        try:
            booster = xgboost.Booster(model_file=str(path))
        except (xgboost.core.XGBoostError, ValueError) as error:
            raise WeightsError(
                f"{path} is not an XGBoost model in JSON ({str(error).splitlines()[-1][:80]})"
            ) from error
        if booster.num_features() != bands:
            raise InputError(f"{path} was trained on {booster.num_features()} bands, the spectra have {bands}")
        return cls(booster)

    def __call__(self, toa: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return cloud probability (n,) float32 of toa (n, bands) float32."""
        if not len(toa):
            return np.empty(0, np.float32)
        probability: NDArray[np.float32] = self.booster.inplace_predict(np.ascontiguousarray(toa))
        return probability

    def save(self, path: Path) -> None:
        """Write the trees in XGBoost's JSON. Raises `OutputError`."""
        with atomic_output(path, overwrite=True) as temporary:
            self.booster.save_model(str(temporary))


def need_xgboost() -> Any:
    """Import XGBoost. Raises `MissingExtraError`."""
    try:
        import xgboost
    except ImportError:
        raise MissingExtraError("boosted trees need xgboost: pip install 'spectf-cloud[compare]'") from None
    return xgboost
