"""``spectf-cloud export``: the network for other programs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import typer

from spectf_cloud.cli.deploy_options import MASKING
from spectf_cloud.cli.fields import Shown, takes
from spectf_cloud.cli.reporting import Overwrite, Reporter
from spectf_cloud.inference.options import MaskOptions

app = typer.Typer(help="Write the network as ONNX or as a TensorRT engine.")


@dataclass(frozen=True)
class Export:
    """The network to write, for which bands, and the type of the operands of its matrix products."""

    out: Path
    rdn: Path | None = None
    precision: Literal["fp32", "fp16", "bf16"] = "fp32"
    options: MaskOptions = field(default_factory=MaskOptions)
    overwrite: bool = False

    @property
    def source(self) -> dict[str, Any]:
        """Return keywords that both the check and the export take."""
        options = self.options
        network = {"weights": options.weights, "arch_spec": options.arch_spec, "keep_bands": options.keep_bands}
        return {**network, "radiance": self.rdn, "overwrite": self.overwrite}


_NETWORK = {
    "out": Shown("File to write.", argument=True),
    "weights": replace(MASKING["weights"], panel=None),
    "rdn": Shown("Only for the bands of this radiance file; default: for any bands."),
    "arch_spec": replace(MASKING["arch_spec"], panel=None),
    "precision": Shown("Type of matrix-product operands; everything else is float32."),
    "keep_bands": replace(MASKING["keep_bands"], panel=None),
}
_ENGINE = {
    **_NETWORK,
    "rdn": Shown("Radiance whose bands the engine is for.", type=Path, default=..., argument=True),
    "precision": replace(_NETWORK["precision"], default="fp16"),
    "device": Shown("GPU number, or auto.", type=str, default="0"),
    "overwrite": Overwrite,
}


@app.command()
@takes({**_NETWORK, "overwrite": Overwrite})
def onnx(job: Export, reporter: Reporter) -> None:
    """Write an ONNX graph: reflectance and wavelengths in, logits and cloud probability out."""
    from spectf_cloud.inference.engines.source import ONNX, check_export

    check_export(job.out, ONNX, **job.source)
    from spectf_cloud.inference.engines.onnx.file import export_onnx  # PyTorch comes with it

    made = export_onnx(job.out, precision=job.precision, **job.source)
    checked = "not compared" if made.error is None else f"logits within {made.error:.1g} of PyTorch"
    fields = {"output": made.path, "largest_logit_error": made.error, "metadata": dict(made.metadata)}
    what = f"{made.metadata['weights']}, {job.precision}, opset {made.metadata['opset']}, {checked}"
    reporter.done(fields, f"{made.path}: {what}")


@app.command()
@takes(_ENGINE)
def engine(job: Export, reporter: Reporter) -> None:
    """Build a TensorRT engine for this GPU and write it with its card; takes minutes."""
    from spectf_cloud.inference.engines.source import ENGINE, check_export

    check_export(job.out, ENGINE, **job.source)
    from spectf_cloud.inference.engines.tensorrt.file import export_engine  # PyTorch comes with it

    made = export_engine(job.out, precision=job.precision, device=str(job.options.device), **job.source)
    identity = made.identity
    reporter.done(
        made.fields(),
        f"{made.path}: {identity.precision}, {identity.bands} bands, {identity.gpu}, TensorRT {identity.tensorrt}",
        f"  {'card':<12}{made.card}",
    )
