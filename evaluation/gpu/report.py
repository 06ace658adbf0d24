"""The table of gpu.json as markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from evaluation.gpu.floors import SCENE_PIXELS

BASELINE, STANDARD = "original: bf16, jit, batch 4096", "torch SDPA bfloat16"


def markdown(found: Mapping[str, Any]) -> str:
    """Everything measured, every speed with its fidelity and its spread."""
    rates, whole = found["rates"], found["whole"]
    base, standard = (float(np.median(rates[name])) for name in (BASELINE, STANDARD))
    ours = SCENE_PIXELS / float(np.median(rates["our kernel"]))
    parts = [
        f"# Inference on a GPU: {found['device']}",
        f"PyTorch {found['torch']}, weights {found['weights']}, {found['bands']} bands. Medians of {found['rounds']} "
        f"rounds of {found['pixels']:,} fresh spectra, all paths in turn on the same ones; the spread is from the "
        "slowest to the fastest round. A scene is 1280 × 1242 pixels. Fidelity, of the "
        "probability, is against float32 on the same GPU.",
        "## Inference alone, reflectance already on the device",
        _table(
            (
                "path",
                "pixels/s",
                "spread",
                "scene, s",
                "× original",
                "× SDPA bf16",
                "mask differs",
                "largest error of p",
            ),
            (
                _speed(name, values, base, standard) + _distance(found["fidelity"][name])
                for name, values in rates.items()
            ),
        ),
        *(f"{name}: not measured ({reason})." for name, reason in found["missing"].items()),
        "## Floors of a scene",
        _table(
            ("unit", "seconds", "our kernel is"),
            ((unit, f"{floor:.4f}", f"{ours / floor:.1f}×") for unit, floor in found["floors"].items()),
        ),
        "Ceilings: " + ", ".join(f"{name} {value:.4g}" for name, value in found["ceilings"].items()) + ".",
        "## Each idea",
        _table(
            ("variant", "pixels/s", "spread", "scene, s", "× kernel", "mask differs", "largest error"),
            (
                _speed(name, values, float(np.median(found["ablation"]["kernel"])))
                + _distance(found["ablation_fidelity"][name])
                for name, values in found["ablation"].items()
            ),
        ),
        "## Cost",
        *(
            _table((label, "pixels/s"), ((n, f"{np.median(values):,.0f}") for n, values in found[key].items()))
            for label, key in (("bands", "by_bands"), ("pixels a call", "by_pixels"))
        ),
        "## The whole command",
        f"A simulated {whole['lines']} × {whole['samples']} granule (contiguous netCDF, page cache warm).",
        _table(
            ("what", "seconds", "× reading and copying"),
            (
                (name, f"{whole[key]:.2f}", f"{whole[key] / whole['read_and_copy_s']:.2f}")
                for name, key in (
                    ("reading the file and copying it over", "read_and_copy_s"),
                    ("mask_scene in a running process", "in_process_s"),
                    ("spectf-cloud deploy-pt, start-up and product included", "command_s"),
                    ("the original's way, in a running process, no product", "original_s"),
                )
            ),
        ),
        f"Against float32, {whole['flips']:.4%} of our mask differs (largest error {whole['largest']:.4f}), of the "
        f"original's {whole['original_flips']:.2%}. Stages of mask_scene: "
        + ", ".join(f"{name} {seconds:.2f} s" for name, seconds in whole["stages_s"].items())
        + ".",
    ]
    return "\n\n".join(parts) + "\n"


def _speed(name: str, values: list[float], *bases: float) -> tuple[str, ...]:
    rate = float(np.median(values))
    spread = f"{min(values):,.0f}–{max(values):,.0f}"
    return (name, f"{rate:,.0f}", spread, f"{SCENE_PIXELS / rate:.3f}", *(f"{rate / base:.2f}" for base in bases))


def _distance(fidelity: Mapping[str, float]) -> tuple[str, str]:
    return f"{fidelity['flips']:.4%}", f"{fidelity['largest']:.4f}"


def _table(head: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
