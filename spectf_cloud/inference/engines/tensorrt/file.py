"""Export weights to a TensorRT engine for this machine's GPU and the bands of one scene."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from spectf_cloud.inference.engines.onnx.file import read_source
from spectf_cloud.inference.engines.onnx.graph import Precision, import_onnx
from spectf_cloud.inference.engines.source import ENGINE, check_export
from spectf_cloud.inference.engines.tensorrt import device as devices
from spectf_cloud.inference.engines.tensorrt.backend import describe, device_number, make_plan
from spectf_cloud.inference.engines.tensorrt.card import Identity, card_path, save_engine
from spectf_cloud.inference.engines.tensorrt.library import import_tensorrt
from spectf_cloud.weights import BUILTIN


@dataclass(frozen=True)
class ExportedEngine:
    """Result of an export: the engine, its card, and what it was built for."""

    path: Path
    card: Path
    identity: Identity

    def fields(self) -> dict[str, object]:
        """Return the entries of a report."""
        return {"output": self.path, "card": self.card, **asdict(self.identity)}


def export_engine(
    out: Path,
    radiance: Path,
    *,
    weights: str = BUILTIN,
    arch_spec: Path | None = None,
    precision: Precision = "fp16",
    keep_bands: bool = False,
    device: str = "0",
    overwrite: bool = False,
) -> ExportedEngine:
    """Build an engine for the bands of a radiance file and write it with its card. Raises `SpectfError`."""
    checked = check_export(out, ENGINE, weights, arch_spec, radiance, keep_bands=keep_bands, overwrite=overwrite)
    import_tensorrt()
    import_onnx()
    gpu = devices.open_device(device_number(device))
    source = read_source(checked)
    graph, identity = describe(source.model, precision, gpu)
    save_engine(out, make_plan(graph, identity, gpu), identity, overwrite=overwrite)
    return ExportedEngine(out, card_path(out), identity)
