"""Export weights to an ONNX file with metadata about their origin."""

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

from spectf_cloud.errors import SpectfError
from spectf_cloud.files.atomic import atomic_output
from spectf_cloud.inference.engines.onnx.graph import (
    LOGITS,
    OPSET,
    TOA,
    WAVELENGTH,
    Precision,
    build_graph,
    import_onnx,
)
from spectf_cloud.inference.engines.source import ONNX, ExportSource, check_export
from spectf_cloud.model import SpecTfEncoder
from spectf_cloud.models.load import load_model
from spectf_cloud.sensor import BandRanges
from spectf_cloud.weights import BUILTIN, Checkpoint

if TYPE_CHECKING:
    from onnx import ModelProto

#: A float32 graph whose logits differ more than this from the network's is not written.
MAX_ERROR = 1e-4


@dataclass(frozen=True)
class Exported:
    """Result of an export. `error` is the largest of any logit against PyTorch; None where it was not measured."""

    path: Path
    metadata: Mapping[str, str]
    error: float | None


@dataclass(frozen=True)
class Source:
    """Weights and their network for some bands."""

    weights: Checkpoint
    model: SpecTfEncoder
    wavelength_nm: np.ndarray
    drop_nm: BandRanges


def read_source(checked: ExportSource) -> Source:
    """Load the network of checked weights and bands. Raises `WeightsError`."""
    model = load_model(checked.weights, checked.wavelength_nm, checked.architecture)
    return Source(checked.weights, model, checked.wavelength_nm, checked.drop_nm)


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

    The file's metadata name its origin. The graph is compared with the network before it is written. Raises
    `SpectfError`.
    """
    checked = check_export(out, ONNX, weights, arch_spec, radiance, keep_bands=keep_bands, overwrite=overwrite)
    import_onnx()
    source = read_source(checked)
    made = build_graph(source.model, precision, fixed_bands=radiance is not None)
    metadata = _metadata(source, precision, fixed=radiance is not None)
    import_onnx().helper.set_model_props(made, metadata)
    error = _error(made, source) if precision != "bf16" and find_spec("onnxruntime") else None
    if error is not None and precision == "fp32" and not error <= MAX_ERROR:
        raise SpectfError(f"{source.weights.path}: the graph's logits are off by {error:.2g}; nothing is written")
    with atomic_output(out, overwrite=overwrite) as temporary:
        temporary.write_bytes(made.SerializeToString(deterministic=True))
    return Exported(out, metadata, error)


def _metadata(source: Source, precision: Precision, *, fixed: bool) -> dict[str, str]:
    metadata = {
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
        metadata["wavelength_nm"] = json.dumps([round(float(centre), 4) for centre in source.wavelength_nm])
    return metadata


def _error(made: ModelProto, source: Source) -> float:
    """Return the largest difference of any logit, of smooth and of random spectra."""
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
