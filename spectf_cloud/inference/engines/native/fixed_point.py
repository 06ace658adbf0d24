"""The coarse tail's matrices as pairs of int16, for CPUs that multiply those fastest.

Products are summed in int32. Scales are as large as the values' bounds allow: attention outputs are within ±1, and a
normalised vector of 64 has a norm of 8. Each stage undoes the scale of the one before.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.inference.engines.native.tables import Tables

FloatArray = NDArray[np.float64]
Int32Array = NDArray[np.int32]

#: int16 of an attention output of 1; merging keys may double it.
VALUE_UNIT = 16384
_INT16, _INT32 = 32767.0, 0.98 * 2**31


@dataclass(frozen=True, eq=False)
class FixedPoint:
    """Pairs of int16 are packed into int32, the lower first.

    Attributes
    ----------
    project, project_constant
        (COARSE_TAIL, heads · rank / 2) pairs and (COARSE_TAIL,): outputs in int32, whose upper halves are used.
    hidden, mixing
        (64, COARSE_TAIL / 2) and (64, 32) pairs.
    difference
        (64,) float32: head's weights per unit of the features.
    square_scale, hidden_scale, active_unit
        Square of the norm per unit; first layer's output per unit; int16 of an activation of 1.
    """

    project: Int32Array
    project_constant: Int32Array
    hidden: Int32Array
    mixing: Int32Array
    difference: NDArray[np.float32]
    square_scale: float
    hidden_scale: float
    active_unit: float

    @classmethod
    def of(cls, tables: Tables) -> FixedPoint:
        """Convert a network's float tables."""
        project, hidden, mixing = (
            np.asarray(x, np.float64) for x in (tables.coarse_project, tables.coarse_hidden, tables.mixing)
        )
        # Leading directions: their int16 squares add up in an int32, their coefficients fit in int16.
        norm = float(np.linalg.norm(np.abs(project).sum(axis=1)))
        lead_unit = min(_INT16 / norm, _INT16 * VALUE_UNIT / 65536 / np.abs(project[:, :-1]).max())
        row_norms = np.linalg.norm(hidden, axis=1)
        hidden_unit = min(_INT16 / np.abs(hidden).max(), _INT32 / (row_norms.max() * lead_unit * norm))
        bias = np.abs(np.asarray(tables.hidden_bias, np.float64))
        largest_active = 8 * row_norms + bias
        active_unit = _INT16 / largest_active.max()
        active_norm = 8 * np.linalg.norm(hidden, ord=2) + np.linalg.norm(bias) + 2
        mixing_norms = np.linalg.norm(mixing, axis=1)
        largest_mixing = np.abs(mixing).max(axis=1)
        mixing_unit = np.minimum(_INT16 / largest_mixing, _INT32 / (mixing_norms * active_norm * active_unit))
        return cls(
            project=_pairs(project[:, :-1] * lead_unit * 65536 / VALUE_UNIT),
            # Half a unit makes the truncation to the upper half rounding.
            project_constant=np.rint(project[:, -1] * lead_unit * 65536 + 32768).astype(np.int32),
            hidden=_pairs(hidden * hidden_unit),
            mixing=_pairs(mixing * mixing_unit[:, None]),
            difference=(tables.difference / (mixing_unit * active_unit)).astype(np.float32),
            square_scale=1 / lead_unit**2,
            hidden_scale=1 / (lead_unit * hidden_unit),
            active_unit=float(active_unit),
        )


def _pairs(matrix: FloatArray) -> Int32Array:
    """Pack neighbours of (rows, n) as int16 in one int32: (rows, n / 2)."""
    whole = np.ascontiguousarray(np.rint(matrix).astype(np.int16))
    return np.ascontiguousarray(whole.view(np.int32))
