"""Boosted trees by XGBoost: training from the memory map, and the published model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.errors import ConfigError, InputError, MissingExtraError, WeightsError
from spectf_cloud.files.atomic import atomic_output

if TYPE_CHECKING:
    from spectf_cloud.data.spectra import Spectra

_BLOCK = 65536
_TREES = "n_estimators"


class TreesBackend:
    """Cloud probability by boosted trees."""

    name = "xgboost"
    fidelity = "exact"

    def __init__(self, booster: Any) -> None:
        self.booster = booster

    @classmethod
    def load(cls, path: Path, bands: int) -> TreesBackend:
        """From XGBoost's JSON. Raises `WeightsError`, `InputError`."""
        xgboost = _xgboost()
        try:
            booster = xgboost.Booster(model_file=str(path))
        except (xgboost.core.XGBoostError, ValueError) as error:
            raise WeightsError(f"{path} is no XGBoost model in JSON ({str(error).splitlines()[-1][:80]})") from error
        if booster.num_features() != bands:
            raise InputError(f"{path} was trained on {booster.num_features()} bands, the spectra have {bands}")
        return cls(booster)

    def __call__(self, toa: NDArray[np.float32]) -> NDArray[np.float32]:
        """toa (n, bands) float32 → (n,) float32."""
        if not len(toa):
            return np.empty(0, np.float32)
        probability: NDArray[np.float32] = self.booster.inplace_predict(np.ascontiguousarray(toa))
        return probability

    def save(self, path: Path) -> None:
        """XGBoost's JSON, whole or not at all."""
        with atomic_output(path, overwrite=True) as temporary:
            self.booster.save_model(str(temporary))


def train_trees(
    spectra: Spectra,
    rows: NDArray[np.int64],
    architecture: Mapping[str, Any],
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> TreesBackend:
    """Boosted trees on these rows. The spectra are binned block by block, one byte a value, never held as floats."""
    xgboost = _xgboost()
    options = {"objective": "binary:logistic", "seed": seed, "tree_method": "hist", **architecture}
    trees = int(options.pop(_TREES, 300))

    class Blocks(xgboost.DataIter):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.reset()

        def reset(self) -> None:
            self.starts = iter(range(0, len(rows), _BLOCK))

        def next(self, input_data: Callable[..., None]) -> bool:
            start = next(self.starts, None)
            if start is None:
                return False
            block = rows[start : start + _BLOCK]
            input_data(data=spectra.take(block), label=spectra.cloud[block])
            return True

    class Report(xgboost.callback.TrainingCallback):  # type: ignore[misc, name-defined]
        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            if progress:
                progress(epoch + 1, trees)
            return False

    try:
        data = xgboost.QuantileDMatrix(Blocks())
        booster = xgboost.train(options, data, num_boost_round=trees, callbacks=[Report()])
    except (xgboost.core.XGBoostError, TypeError) as error:
        raise ConfigError(f"XGBoost refuses the architecture: {str(error).splitlines()[-1][:120]}") from error
    return TreesBackend(booster)


def _xgboost() -> Any:
    try:
        import xgboost
    except ImportError:
        raise MissingExtraError("boosted trees need xgboost: pip install 'spectf-cloud[compare]'") from None
    return xgboost
