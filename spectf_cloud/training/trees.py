"""Training of boosted trees, directly from the memory map."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.data.spectra import Spectra
from spectf_cloud.errors import ConfigError
from spectf_cloud.models.trees import TreesBackend, need_xgboost

_BLOCK = 65536
_TREES = "n_estimators"


def train_trees(
    spectra: Spectra,
    rows: NDArray[np.int64],
    architecture: Mapping[str, Any],
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> TreesBackend:
    """Train boosted trees on these rows, binned block by block to one byte per value. Raises `ConfigError`."""
    xgboost = need_xgboost()
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
        raise ConfigError(f"XGBoost rejects the architecture: {str(error).splitlines()[-1][:120]}") from error
    return TreesBackend(booster)
