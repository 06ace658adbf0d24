"""Weights to an ONNX file that says what it is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from spectf_cloud.config import ArchSpec, read_arch_spec
from spectf_cloud.dataset import open_cube
from spectf_cloud.errors import InputError, SpectfError, UsageError
from spectf_cloud.export.graph import LOGITS, OPSET, TOA, WAVELENGTH, Precision, build_graph, import_onnx
from spectf_cloud.inference.load import load_model
from spectf_cloud.model import SpecTfEncoder
from spectf_cloud.outputs import atomic_output, check_output
from spectf_cloud.sensor import PUBLISHED_DROP_NM, BandRanges, Sensor
from spectf_cloud.weights import BUILTIN, WeightsFile, find_weights

if TYPE_CHECKING:
    from onnx import ModelProto

#: A float32 graph further from the network than this is not written.
LARGEST_ERROR = 1e-4


@dataclass(frozen=True)
class Exported:
    """What was written. `error` is the largest of any logit against PyTorch; None where ONNX Runtime cannot tell."""

    path: Path
    metadata: Mapping[str, str]
    error: float | None


@dataclass(frozen=True)
class Source:
    """Weights with the network of them for some bands."""

    weights: WeightsFile
    model: SpecTfEncoder
    wavelength_nm: np.ndarray
    drop_nm: BandRanges


def read_source(
    weights: str = BUILTIN, arch_spec: Path | None = None, radiance: Path | None = None, keep_bands: bool = False
) -> Source:
    """The network for the bands of a radiance file (by default EMIT's), less those the model does not see."""
    found = find_weights(weights)
    spec = read_arch_spec(arch_spec) if arch_spec else ArchSpec(None, PUBLISHED_DROP_NM)
    architecture = spec.architecture or found.architecture
    if architecture and architecture.agg == "flat" and radiance is None:
        raise UsageError("a network with agg: flat belongs to one set of bands; name a scene's with --rdn")
    drop_nm = () if keep_bands else spec.drop_nm
    sensor = Sensor.emit() if radiance is None else open_cube(radiance).sensor
    if sensor is None:
        raise InputError(f"{radiance} names no band centres; is it the radiance file of a scene?")
    wavelength_nm = sensor.wavelength_nm[sensor.kept(drop_nm)]
    return Source(found, load_model(found, wavelength_nm, architecture), wavelength_nm, drop_nm)


def export_onnx(
    out: Path,
    *,
    weights: str = BUILTIN,
    arch_spec: Path | None = None,
    precision: Precision = "fp32",
    radiance: Path | None = None,
    keep_bands: bool = False,
    overwrite: bool = False,
) -> Exported:
    """Write weights as ONNX, for any bands, or with ``radiance`` for the bands of that file alone.

    The file's metadata say where it comes from. It is compared with the network before it is written. Raises
    `SpectfError`.
    """
    inputs = [Path(weights), *(path for path in (arch_spec, radiance) if path is not None)]
    check_output(out, overwrite=overwrite, inputs=inputs, form="ONNX")
    import_onnx()
    source = read_source(weights, arch_spec, radiance, keep_bands)
    made = build_graph(source.model, precision, fixed_bands=radiance is not None)
    metadata = _metadata(source, precision, fixed=radiance is not None)
    import_onnx().helper.set_model_props(made, metadata)
    error = _error(made, source) if precision != "bf16" and find_spec("onnxruntime") else None
    if error is not None and precision == "fp32" and not error <= LARGEST_ERROR:
        raise SpectfError(f"{source.weights.path}: the graph's logits are off by {error:.2g}; nothing is written")
    with atomic_output(out, overwrite=overwrite) as temporary:
        temporary.write_bytes(made.SerializeToString(deterministic=True))
    return Exported(out, metadata, error)


def _metadata(source: Source, precision: Precision, *, fixed: bool) -> dict[str, str]:
    """Text by name, in the file's metadata_props."""
    told = {
        "spectf_cloud": version("spectf-cloud"),
        "weights": source.weights.name,
        "weights_sha256": source.weights.sha256,
        "threshold": repr(source.weights.threshold),
        "architecture": json.dumps(asdict(source.model.config)),
        "precision": precision,
        "opset": str(OPSET),
        "input": "top-of-atmosphere reflectance, rows without missing bands; wavelength_nm in the order of its columns",
        "dropped_nm": json.dumps(source.drop_nm),
    }
    if fixed:
        told["wavelength_nm"] = json.dumps([round(float(centre), 4) for centre in source.wavelength_nm])
    return told


def _error(made: ModelProto, source: Source) -> float:
    """Largest difference of a logit, of plain and of strange spectra."""
    import onnxruntime

    rng = np.random.default_rng(0)
    bands = len(source.wavelength_nm)
    slopes = np.linspace(rng.uniform(0, 1, 12), rng.uniform(0, 1, 12), bands, axis=1)
    toa = np.concatenate([slopes, rng.uniform(-0.05, 1.75, (12, bands))]).astype(np.float32)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feed = {TOA: toa, WAVELENGTH: source.wavelength_nm.astype(np.float32)}
    (logits,) = session.run([LOGITS], {value.name: feed[value.name] for value in session.get_inputs()})
    with torch.inference_mode():
        expected = source.model(torch.from_numpy(toa).unsqueeze(-1)).numpy()
    return float(np.abs(logits - expected).max())
