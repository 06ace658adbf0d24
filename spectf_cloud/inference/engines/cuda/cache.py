"""Tables of the CUDA kernel and their probe, kept from one run to the next."""

from __future__ import annotations

from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from spectf_cloud.files.cache import cache_folder
from spectf_cloud.inference.engines.cuda import tables as cuda_tables
from spectf_cloud.inference.engines.cuda.tables import CudaTables, build_cuda_tables
from spectf_cloud.inference.engines.native import reduction
from spectf_cloud.inference.engines.native.backend import fingerprint
from spectf_cloud.inference.engines.native.table_cache import Arrays, keep_arrays, read_arrays
from spectf_cloud.inference.promise import PROBE, Probe, make_probe
from spectf_cloud.model import SpecTfEncoder


def load_cuda_tables(model: SpecTfEncoder) -> tuple[CudaTables, Probe]:
    """Return tables and probe of a network on the CPU and its bands, from the cache or built now (a few seconds).

    Raises `UnsupportedModelError`.
    """
    path = cache_folder() / "tables" / f"cuda-{fingerprint(model, _code())}.tables"
    arrays = read_arrays(path)
    if arrays is not None:
        return _unpack(arrays)
    probe = make_probe(model)
    tables = build_cuda_tables(model, probe.toa[: probe.random].astype(np.float64))
    values = {field.name: getattr(tables, field.name) for field in fields(tables)}
    values |= {f"probe_{field.name}": getattr(probe, field.name) for field in fields(probe)}
    keep_arrays(path, {name: np.asarray(value) for name, value in values.items()})
    return tables, probe


def _unpack(arrays: Arrays) -> tuple[CudaTables, Probe]:
    values: dict[str, Any] = {name: value.item() if value.ndim == 0 else value for name, value in arrays.items()}
    probe = Probe(**{field.name: values.pop(f"probe_{field.name}") for field in fields(Probe)})
    on_cpu: dict[str, Any] = {k: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for k, v in values.items()}
    return CudaTables(**on_cpu), probe


@cache
def _code() -> bytes:
    return b"".join(Path(str(path)).read_bytes() for path in (reduction.__file__, cuda_tables.__file__, PROBE))
