"""``spectf-cloud export``: the network for other programs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from spectf_cloud.cli.reporting import Json, Overwrite, Quiet, Reporter, Verbose

app = typer.Typer(help="Write the network as ONNX or as a TensorRT engine.")


class PrecisionChoice(StrEnum):
    """Types of the operands of matrix products; everything else is float32."""

    fp32 = "fp32"
    fp16 = "fp16"
    bf16 = "bf16"


Out = Annotated[Path, typer.Argument(readable=False, help="File to write.")]
Weights = Annotated[str, typer.Option(help="Path, 'builtin', 'official:v0.1.0' or 'official:v0.0.1'.")]
ArchSpec = Annotated[Path | None, typer.Option(readable=False, help="YAML of architecture and dropped bands.")]
Precision = Annotated[PrecisionChoice, typer.Option(help="Operands of matrix products; all else is float32.")]
KeepBands = Annotated[bool, typer.Option("--keep-bands", help="Drop no bands.")]


@app.command()
def onnx(
    out: Out,
    weights: Weights = "builtin",
    rdn: Annotated[
        Path | None, typer.Option(readable=False, help="Only for the bands of this radiance file; default: for any.")
    ] = None,
    arch_spec: ArchSpec = None,
    precision: Precision = PrecisionChoice.fp32,
    keep_bands: KeepBands = False,
    overwrite: Overwrite = False,
    json: Json = False,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Write an ONNX graph: reflectance and wavelengths in, logits and cloud probability out."""
    reporter = Reporter(json, quiet, verbose)
    from spectf_cloud.inference.engines.source import ONNX, check_export

    check_export(out, ONNX, weights, arch_spec, rdn, keep_bands=keep_bands, overwrite=overwrite)
    from spectf_cloud.inference.engines.onnx.file import export_onnx  # PyTorch comes with it

    made = export_onnx(
        out,
        weights=weights,
        arch_spec=arch_spec,
        precision=precision.value,
        radiance=rdn,
        keep_bands=keep_bands,
        overwrite=overwrite,
    )
    checked = "not compared" if made.error is None else f"logits within {made.error:.1g} of PyTorch"
    fields = {"output": made.path, "largest_logit_error": made.error, "metadata": dict(made.metadata)}
    reporter.done(
        fields, f"{made.path}: {made.metadata['weights']}, {precision.value}, opset {made.metadata['opset']}, {checked}"
    )


@app.command()
def engine(
    out: Out,
    rdn: Annotated[Path, typer.Argument(readable=False, help="Radiance whose bands the engine is for.")],
    weights: Weights = "builtin",
    arch_spec: ArchSpec = None,
    precision: Precision = PrecisionChoice.fp16,
    keep_bands: KeepBands = False,
    device: Annotated[str, typer.Option(help="GPU number, or auto.")] = "0",
    overwrite: Overwrite = False,
    json: Json = False,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Build a TensorRT engine for this GPU and write it with its card; takes minutes."""
    reporter = Reporter(json, quiet, verbose)
    from spectf_cloud.inference.engines.source import ENGINE, check_export

    check_export(out, ENGINE, weights, arch_spec, rdn, keep_bands=keep_bands, overwrite=overwrite)
    from spectf_cloud.inference.engines.tensorrt.file import export_engine  # PyTorch comes with it

    made = export_engine(
        out,
        rdn,
        weights=weights,
        arch_spec=arch_spec,
        precision=precision.value,
        keep_bands=keep_bands,
        device=device,
        overwrite=overwrite,
    )
    identity = made.identity
    reporter.done(
        made.fields(),
        f"{made.path}: {identity.precision}, {identity.bands} bands, {identity.gpu}, TensorRT {identity.tensorrt}",
        f"  {'card':<12}{made.card}",
    )
