"""The source of an export, checked before anything large is imported: output, weights, architecture, bands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.architecture import Architecture
from spectf_cloud.dataset import open_cube
from spectf_cloud.errors import InputError, UsageError
from spectf_cloud.files.atomic import check_output
from spectf_cloud.models.arch_spec import read_arch_spec
from spectf_cloud.sensor import BandRanges, Sensor
from spectf_cloud.tokens import shown_bands
from spectf_cloud.weights import Checkpoint, find_weights

#: Forms of `atomic.SUFFIXES`.
ONNX, ENGINE = "ONNX", "TensorRT engine"


@dataclass(frozen=True, eq=False)
class ExportSource:
    """Weights, the architecture if given, and the centres (bands,), nm, of the bands that the network sees."""

    weights: Checkpoint
    architecture: Architecture | None
    wavelength_nm: NDArray[np.float64]
    drop_nm: BandRanges


def check_export(
    out: Path,
    form: str,
    weights: str,
    arch_spec: Path | None = None,
    radiance: Path | None = None,
    *,
    keep_bands: bool = False,
    overwrite: bool = False,
) -> ExportSource:
    """Check an export and return its source: the bands of ``radiance``, by default EMIT's. Raises `SpectfError`."""
    inputs = [Path(weights), *(path for path in (arch_spec, radiance) if path is not None)]
    check_output(out, overwrite=overwrite, inputs=inputs, form=form)
    found = find_weights(weights)
    spec = read_arch_spec(arch_spec, keep_bands=keep_bands)
    architecture = spec.architecture or found.architecture
    if architecture and architecture.agg == "flat" and radiance is None:
        raise UsageError("a network with agg: flat belongs to one set of bands; give a scene with these bands by --rdn")
    sensor = Sensor.emit() if radiance is None else open_cube(radiance).sensor
    if sensor is None:
        raise InputError(f"{radiance} names no band centres; is it the radiance file of a scene?")
    return ExportSource(found, architecture, sensor.wavelength_nm[shown_bands(sensor, spec.drop_nm)], spec.drop_nm)
