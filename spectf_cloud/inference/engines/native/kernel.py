"""The compiled CPU kernel as a Python object: libraries, instruction sets, ctypes."""

from __future__ import annotations

import ctypes
import math
import os
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.errors import UsageError
from spectf_cloud.files.cache import cache_folder
from spectf_cloud.inference.engines.native.build import (
    CARRIED,
    BuildError,
    Level,
    cpu_features,
    find_or_compile,
    levels,
)
from spectf_cloud.inference.engines.native.fixed_point import FixedPoint
from spectf_cloud.inference.engines.native.reduction import STAGE_SHARES
from spectf_cloud.inference.engines.native.table_cache import distrust
from spectf_cloud.inference.engines.native.tables import Tables

Float32Array = NDArray[np.float32]

_ARRAYS = (
    "order",
    "stages",
    "curves",
    "coarse_curves",
    "variance",
    "query_variance",
    "query_constant",
    "query_scale",
    "key_centre",
    "value_centre",
    "root",
    "hidden",
    "coarse_project",
    "coarse_hidden",
    "hidden_bias",
    "mixing",
    "difference",
)
_FIXED_ARRAYS = ("project", "project_constant", "hidden", "mixing", "difference")
# int16 queries and keys whose product is in units of 2^-23 hold 2^30 / 2^23.
_MAX_INT16_PRODUCT = 126.0
_EARLY_STAGES = len(STAGE_SHARES) - 1


class _Tables(ctypes.Structure):
    """`Tables` of tables.h."""

    _fields_ = (
        ("bands", ctypes.c_int32),
        ("padded", ctypes.c_int32),
        *((name, ctypes.c_void_p) for name in _ARRAYS),
        *((f"fixed_{name}", ctypes.c_void_p) for name in _FIXED_ARRAYS),
        ("offset", ctypes.c_float),
        ("coarse_rest", ctypes.c_float),
        ("layer_norm_eps", ctypes.c_float),
        ("fixed_square_scale", ctypes.c_float),
        ("fixed_hidden_scale", ctypes.c_float),
        ("fixed_active_unit", ctypes.c_float),
    )


class _Plan(ctypes.Structure):
    """`Plan` of tables.h."""

    _fields_ = (
        ("merge_variance", ctypes.c_float),
        ("redo_logit", ctypes.c_float),
        ("margin", ctypes.c_float),
        ("float_logit", ctypes.c_float),
        ("enough_logit", ctypes.c_float * _EARLY_STAGES),
        ("all_fine", ctypes.c_int32),
    )


@dataclass(frozen=True)
class Plan:
    """How the cascade decides.

    Attributes
    ----------
    merge_tolerance
        Neighbouring keys become one while the logits they give differ by less than this (root mean square over
        the pixel's queries).
    redo_logit
        Pixels whose coarse logit is nearer to zero go through the fine pass.
    margin
        Bands take part in the fine pass where their lack of a feature's maximum changes the probability by less
        than a quarter of this.
    float_logit
        Pixels whose coarse logit is nearer to zero have a fine pass in float with every instruction set.
    enough_logits
        The coarse pass stops after each of `STAGE_SHARES` but the last where the logit is beyond these.
    all_fine
        Every band of every pixel goes through the fine pass, in float with every instruction set.
    """

    merge_tolerance: float
    redo_logit: float
    margin: float
    float_logit: float
    enough_logits: tuple[float, ...]
    all_fine: bool = False


@dataclass(frozen=True)
class Statistics:
    """Statistics of a run.

    Keys per head and pixel after merging; share of bands that asked; share of pixels redone; bands of each of those.
    """

    keys: float
    asked: float
    redone: float
    bands: float


def usable_levels() -> tuple[Level, ...]:
    """Return this CPU's instruction sets, fastest first; SPECTF_SIMD names one, or ``none``. Raises `UsageError`."""
    known, features = levels(), cpu_features()
    supported = tuple(level for level in known if level.needs <= features)
    wanted = os.environ.get("SPECTF_SIMD", "").strip().lower()
    if not wanted:
        return supported
    if wanted == "none":
        return ()
    for level in known:
        if level.name == wanted:
            if level not in supported:
                missing = ", ".join(sorted(level.needs - features))
                raise UsageError(f"SPECTF_SIMD={wanted}: this CPU lacks {missing}")
            return (level,)
    raise UsageError(f"SPECTF_SIMD={wanted} is not known; use {', '.join(level.name for level in known)} or none")


class Kernel:
    """One compiled level with the tables of one network and band set."""

    def __init__(self, level: Level, tables: Tables) -> None:
        """Load a level's library. Raises `BuildError` where there is none or it cannot hold the tables."""
        if level.name == "avx512-vnni" and tables.largest_product > _MAX_INT16_PRODUCT:
            raise BuildError(f"queries times keys reach {tables.largest_product:.0f}, too large for 16-bit numbers")
        self.level = level.name
        fixed = FixedPoint.of(tables)
        self._held = (tables, fixed)  # the arrays the structure points into
        self.bands = tables.bands
        path = find_or_compile(level, cache_folder() / "kernels")
        if path.parent != CARRIED and (reason := distrust(path.stat())):
            raise BuildError(f"{path} is not used: {reason}; SPECTF_CACHE_DIR names another place")
        try:
            self.library = ctypes.CDLL(str(path))
            self._run = self.library.spectf_run
        except (OSError, AttributeError) as error:
            raise BuildError(f"{path} cannot be loaded ({error})") from error
        self._run.argtypes = (*[ctypes.c_void_p] * 3, ctypes.c_int64, *[ctypes.c_void_p] * 2)
        self._run.restype = ctypes.c_int
        self.tables = _Tables(
            tables.bands,
            tables.padded,
            *(getattr(tables, name).ctypes.data for name in _ARRAYS),
            *(getattr(fixed, name).ctypes.data for name in _FIXED_ARRAYS),
            tables.offset,
            tables.coarse_rest,
            tables.layer_norm_eps,
            fixed.square_scale,
            fixed.hidden_scale,
            fixed.active_unit,
        )

    def logits(self, toa: Float32Array, plan: Plan) -> tuple[Float32Array, Statistics]:
        """Return logits cloud − clear (n,) of toa (n, bands) float32 inside the domain. Releases the GIL."""
        pixels = np.ascontiguousarray(toa, dtype=np.float32)
        if pixels.ndim != 2 or pixels.shape[1] != self.bands:
            raise ValueError(f"toa {pixels.shape} must be (n, {self.bands})")
        logits = np.empty(len(pixels), np.float32)
        statistics = np.zeros(4, np.float64)
        merge_variance = (plan.merge_tolerance * np.log2(math.e)) ** 2
        enough = (ctypes.c_float * _EARLY_STAGES)(*plan.enough_logits)
        settings = _Plan(merge_variance, plan.redo_logit, plan.margin, plan.float_logit, enough, plan.all_fine)
        status = self._run(
            ctypes.byref(self.tables),
            ctypes.byref(settings),
            pixels.ctypes.data,
            len(pixels),
            logits.ctypes.data,
            statistics.ctypes.data,
        )
        if status:
            raise MemoryError("there is not enough working memory for the CPU kernel")
        return logits, Statistics(*statistics.tolist())
