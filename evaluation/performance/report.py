"""Turn the measurements of bench.py and cube.py into evaluation/performance.md and its plots.

Run: python -m evaluation.performance.report MEASURED.json ...; later files add to earlier ones.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

matplotlib.use("Agg")
from matplotlib import pyplot as plt

HERE = Path(__file__).parent
ORIGINAL = "original bf16 + jit"


def main(parts: list[dict[str, Any]]) -> None:
    """Write everything."""
    measured: dict[str, Any] = {"rates": {}, "cost": {}, "fidelity": {}}
    for part in parts:
        for key, value in part.items():
            measured.setdefault(key, {}).update(value)
    (HERE / "performance.json").write_text(json.dumps(measured, indent=1) + "\n")
    text = (HERE / "preface.md").read_text().rstrip() + "\n\n"
    text += "## Speed\n\n" + speed(measured["rates"], measured["timed"]["weights"])
    text += "\n## Fidelity\n\n" + fidelity(measured["fidelity"])
    if measured["cost"]:
        text += "\n## Cost against the number of bands and of pixels\n\n"
        text += bands(measured["cost"]["bands"]) + pixels(measured["cost"]["pixels"])
    (HERE.parent / "performance.md").write_text(text)


def ratio_of(values: list[float], original: list[float]) -> float:
    """Of the medians."""
    return float(np.median(values) / np.median(original))


def speed(rates: dict[str, dict[str, list[float]]], weights: str) -> str:
    """A table of medians and of their ratios to the original path."""
    lines = [
        f"Weights {weights}, 268 bands; pixels per CPU second, and the ratio of its median to the original path's.",
        "",
    ]
    lines += ["| path | " + " | ".join(rates) + " |", "|---|" + "---|" * len(rates)]
    for path in dict.fromkeys(name for values in rates.values() for name in values):
        cells = []
        for values in rates.values():
            if path not in values:
                cells.append("")
                continue
            ratio = f" ({ratio_of(values[path], values[ORIGINAL]):.1f}×)" if ORIGINAL in values else ""
            cells.append(f"{np.median(values[path]):,.0f}{ratio}")
        lines.append(f"| {path} | " + " | ".join(cells) + " |")
    both = {name: values for name, values in rates.items() if ORIGINAL in values}
    figure, axes = plt.subplots(figsize=(7, 4))
    for offset, (source, values) in enumerate(both.items()):
        ratios = [ratio_of(v, values[ORIGINAL]) for v in values.values()]
        axes.barh(np.arange(len(ratios)) + 0.38 * offset, ratios, 0.36, label=source)
        axes.set_yticks(np.arange(len(ratios)) + 0.19, list(values), fontsize=7)
    axes.invert_yaxis()
    axes.set_xlabel("times the original path")
    axes.legend(frameon=False, fontsize=8)
    figure.tight_layout()
    figure.savefig(HERE / "speed.png", dpi=130)
    return "\n".join([*lines, "", "![Ratios](performance/speed.png)", ""])


def fidelity(measured: dict[str, dict[str, dict[str, float]]]) -> str:
    """A table of flips and errors."""
    lines = [
        "| weights, spectra | path | spectra | mask differs | largest error of p | 99.9 % | mean |",
        "|---|---|---|---|---|---|---|",
    ]
    for source, paths in measured.items():
        for path, m in paths.items():
            numbers = f"{m['spectra']:,} | {m['flips']:.4%} | {m['largest']:.4f} | {m['p999']:.4f} | {m['mean']:.1e}"
            lines.append(f"| {source} | {path} | {numbers} |")
    return "\n".join([*lines, ""])


def bands(rates: dict[str, float]) -> str:
    """Rates and the exponent of a power law through them."""
    count = np.array([int(name) for name in rates])
    microseconds = 1e6 / np.array(list(rates.values()))
    exponent, _ = np.polyfit(np.log(count), np.log(microseconds), 1)
    figure, axes = plt.subplots(figsize=(4.5, 3))
    axes.loglog(count, microseconds, "o-")
    axes.set(xlabel="bands", ylabel="µs a pixel, one thread", title=f"cost grows as bands^{exponent:.2f}")
    figure.tight_layout()
    figure.savefig(HERE / "bands.png", dpi=130)
    lines = ["Default backend, `faithful`, simulated mixed scenes, evenly spaced bands over EMIT's range.", ""]
    lines += ["| bands | " + " | ".join(rates) + " |", "|---|" + "---|" * len(rates)]
    lines += ["| pixels/s | " + " | ".join(f"{rate:,.0f}" for rate in rates.values()) + " |", ""]
    lines += [f"Cost grows as bands^{exponent:.2f}.", "", "![Cost against bands](performance/bands.png)", ""]
    return "\n".join(lines)


def pixels(rates: dict[str, float]) -> str:
    """Rates of calls of different size, and the exponent of their cost."""
    count = np.array([int(name) for name in rates])
    exponent, _ = np.polyfit(np.log(count), np.log(count / np.array(list(rates.values()))), 1)
    lines = ["", "| pixels in a call | " + " | ".join(f"{n:,}" for n in count) + " |", "|---|" + "---|" * len(rates)]
    lines += ["| pixels/s | " + " | ".join(f"{rate:,.0f}" for rate in rates.values()) + " |", ""]
    return "\n".join([*lines, f"Cost grows as pixels^{exponent:.2f}.", ""])


if __name__ == "__main__":
    main([json.loads(Path(name).read_text()) for name in sys.argv[1:]])
