"""How far weights stray from the published v0.1.0 network, whole way from radiance to mask, as a markdown table.

    SPECTF_REFERENCE=../shared/reference python -m evaluation.fidelity.fidelity \
        --weights weights.pt --irradiance irr_astm_g173.npy --out evaluation/fidelity/fidelity.md

Radiance → irradiance → reflectance → logits is run twice: with the given files, and with the published ones in
float32. Where the published threshold puts a probability on the other side, the mask differs.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from evaluation.distillation.data import reference_folder
from evaluation.distillation.lesson import TEACHER_FILE
from evaluation.fidelity.sources import Held, held_out
from spectf_cloud.model import ModelConfig
from spectf_cloud.toa import reflectance_per_radiance, resample_irradiance, toa_reflectance

THRESHOLD = 0.51
SURE = 4.0
LEAST_AUC = 0.999
HEADER = (
    "| source | spectra | cloud in the reference | mask differs | bar | mean abs dp | max abs dp | AUC "
    "| flips where reference is sure |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|\n"
)


@dataclass
class Row:
    """Logit differences of the reference and of the judged weights, (n,) each."""

    name: str
    bar: float | None
    reference: NDArray[np.float64]
    judged: NDArray[np.float64]

    def markdown(self, threshold: float) -> str:
        """One line of the table."""
        truth, answer = (1 / (1 + np.exp(-d)) for d in (self.reference, self.judged))
        cloud, flips = truth > THRESHOLD, (truth > THRESHOLD) != (answer > threshold)
        sure = np.abs(self.reference) > SURE
        bar = "" if self.bar is None else f"{'met' if flips.mean() <= self.bar else 'MISSED'} (≤ {self.bar:.1%})"
        error = np.abs(truth - answer)
        return (
            f"| {self.name} | {len(truth)} | {cloud.mean():.1%} | {flips.mean():.2%} | {bar} | {error.mean():.4f} "
            f"| {error.max():.2f} | {auc(cloud, self.judged)} | {int((flips & sure).sum())} of {int(sure.sum())} |\n"
        )


def auc(cloud: NDArray[np.bool_], score: NDArray[np.float64]) -> str:
    """Area under the ROC curve by ranks, as text; a dash where there is one class only."""
    from scipy.stats import rankdata

    positives = int(cloud.sum())
    negatives = len(cloud) - positives
    if not positives or not negatives:
        return "–"
    area = (rankdata(score)[cloud].sum() - positives * (positives + 1) / 2) / (positives * negatives)
    return f"{area:.5f}"


def logit_difference(held: Held, weights: Path, irradiance: Path) -> NDArray[np.float64]:
    """Cloud minus clear logit (n,) of radiance, the whole way through one pair of files."""
    per_band = resample_irradiance(np.load(irradiance), held.wavelength_nm, held.fwhm_nm)
    factors = reflectance_per_radiance(per_band, held.earth_sun_au)
    toa = torch.from_numpy(toa_reflectance(held.radiance, factors, held.sun_zenith_deg))
    model = ModelConfig().build(held.wavelength_nm)
    model.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    with torch.no_grad():
        logits = torch.cat([model.eval()(chunk.unsqueeze(-1)) for chunk in toa.split(128)])
    return (logits[:, 1] - logits[:, 0]).double().numpy()


def rows(folder: Path, weights: Path, irradiance: Path, size: int) -> Iterator[Row]:
    """One row per source, simulated scenes also pooled."""
    pooled: list[Row] = []
    for held in held_out(folder, size):
        reference = logit_difference(held, folder / TEACHER_FILE, folder / "official/irr.npy")
        row = Row(held.name, held.bar, reference, logit_difference(held, weights, irradiance))
        if held.name.startswith("simulated"):
            pooled.append(row)
        yield row
    both = (np.concatenate([getattr(row, name) for row in pooled]) for name in ("reference", "judged"))
    yield Row("simulated scenes: all", pooled[0].bar, *both)


def table(folder: Path, weights: Path, irradiance: Path, size: int, threshold: float) -> str:
    """The whole report, markdown."""
    sums = [hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in (weights, irradiance)]
    text = (
        f"# Fidelity to the published v0.1.0 weights\n\nweights sha256 {sums[0]}…, irradiance sha256 {sums[1]}…; "
        f"threshold {threshold:g} against {THRESHOLD:g} in the reference (float32). Written by "
        "`python -m evaluation.fidelity.fidelity`.\n"
        f"dp: difference of cloud probability. Sure: |logit difference| > {SURE:g}, bar 0 flips. "
        f"AUC against the reference mask, bar {LEAST_AUC}.\n\n" + HEADER
    )
    for row in rows(folder, weights, irradiance, size):
        text += row.markdown(threshold)
    return text


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=Path("weights.pt"))
    parser.add_argument("--irradiance", type=Path, default=Path("irr_astm_g173.npy"))
    parser.add_argument("--threshold", type=float, default=THRESHOLD)
    parser.add_argument("--size", type=int, default=4000, help="spectra per drawn source")
    parser.add_argument("--out", type=Path, help="also write the table here")
    options = parser.parse_args()
    torch.set_num_threads(1)
    text = table(reference_folder(), options.weights, options.irradiance, options.size, options.threshold)
    if options.out:
        options.out.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
