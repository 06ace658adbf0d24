"""The figures of docs/how-it-works/inference.md, from the built-in weights and the bundled probe spectra.

Run: python docs/how-it-works/inference/make_figures.py [WEIGHTS]
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib
import numpy as np
from numpy.polynomial import chebyshev

from spectf_cloud.inference.engines.native import reduction
from spectf_cloud.inference.engines.native.backend import load_tables
from spectf_cloud.inference.engines.native.tables import DEGREE, Tables
from spectf_cloud.models.load import load_model
from spectf_cloud.models.numpy_spectf import gelu
from spectf_cloud.sensor import Sensor
from spectf_cloud.tokens import shown_bands
from spectf_cloud.weights import find_weights

matplotlib.use("Agg")
from matplotlib import pyplot as plt

OUTPUT = Path(__file__).parent


def main(weights: str) -> None:
    """Write every figure."""
    wavelength_nm = Sensor.emit().wavelength_nm[shown_bands(Sensor.emit())]
    model = load_model(find_weights(weights), wavelength_nm)
    state = {name: value.double().numpy() for name, value in model.state_dict().items()}
    curve = reduction.TokenCurve.of(model, state)
    tables, probe = load_tables(model)
    plt.rcParams |= {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "savefig.dpi": 130}
    token_is_a_curve(curve, wavelength_nm)
    few_directions(curve, probe.toa[:64].astype(np.float64))
    exponential()
    first_bands(curve, tables, state, probe.toa[:96].astype(np.float64))


def token_is_a_curve(curve: reduction.TokenCurve, wavelength_nm: np.ndarray) -> None:
    """One key component of four bands against reflectance, and the error of the fit by degree."""
    toa = np.linspace(*reduction.DOMAIN, 400)
    features = curve.features(np.repeat(toa[:, None], len(wavelength_nm), axis=1))
    sigma = np.sqrt(curve.variance(features))
    numerator = features @ curve.numerator[64]
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 2.8))
    for nm in (450, 865, 1380, 2200):
        band = int(np.abs(wavelength_nm - nm).argmin())
        left.plot(toa, numerator[:, band] / sigma[:, band], label=f"{nm} nm")
    left.set(xlabel="reflectance", ylabel="first key component", title="A band's key is a curve")
    left.legend(frameon=False)
    scaled = (toa - 0.85) / 0.9
    degrees = range(4, 15)
    errors: dict[str, list[float]] = {"quotient fitted": [], "numerator and variance fitted": []}
    for degree in degrees:

        def fitted(values: np.ndarray, degree: int = degree) -> np.ndarray:
            basis = chebyshev.chebvander(scaled, degree)
            return basis @ np.linalg.lstsq(basis, values, rcond=None)[0]

        exact = numerator / sigma
        errors["quotient fitted"].append(float(np.abs(fitted(exact) - exact).max()))
        apart = fitted(numerator) / np.sqrt(np.clip(fitted(sigma**2), 1e-9, None))
        errors["numerator and variance fitted"].append(float(np.abs(apart - exact).max()))
    for label, values in errors.items():
        right.semilogy(list(degrees), values, marker=".", label=label)
    right.axvline(DEGREE, color="0.7", lw=0.8)
    right.set(xlabel="degree of the polynomial", ylabel="largest error, all bands", title="What to fit")
    right.legend(frameon=False)
    _save(figure, "curves")


def few_directions(curve: reduction.TokenCurve, toa: np.ndarray) -> None:
    """How much of the logits each direction carries, head by head."""
    q, k, _ = curve.heads(curve.features(toa))
    root_q = reduction.cholesky_root(np.einsum("nhi,nhj->hij", q, q) / len(q))
    centred = k - k.mean(axis=0)
    root_k = reduction.cholesky_root(np.einsum("nhi,nhj->hij", centred, centred) / len(k))
    values = np.linalg.svd(root_q.transpose(0, 2, 1) @ root_k, compute_uv=False) / np.sqrt(reduction.HEAD_DIM)
    figure, axes = plt.subplots(figsize=(4.6, 2.8))
    axes.semilogy(np.arange(1, 9), values.T, marker=".", color="C0", alpha=0.5)
    for rank, name in ((4, "coarse"), (6, "fine")):
        axes.axvline(rank + 0.5, color="0.7", lw=0.8)
        axes.text(rank + 0.4, values.max(), name, ha="right", va="top")
    axes.set(xlabel="direction", ylabel="share of the logits (rms)", title="Eight heads: few directions matter")
    _save(figure, "directions")


def exponential() -> None:
    """Bits of a float as a logarithm, and what the table of mantissas corrects."""
    x = np.linspace(-1, 2, 500)
    floor = np.floor(x)
    figure, axes = plt.subplots(figsize=(4.6, 2.8))
    axes.plot(x, 2**x, label="2^x")
    axes.plot(x, 2**floor * (1 + x - floor), label="x as exponent and mantissa bits")
    axes.set(xlabel="x", title="The bits of x are nearly 2^x")
    axes.legend(frameon=False)
    _save(figure, "exponential")


def first_bands(curve: reduction.TokenCurve, tables: Tables, state: dict[str, np.ndarray], toa: np.ndarray) -> None:
    """The logit from the first bands of the order against that from all."""
    bands = tables.bands
    q, k, v = curve.heads(curve.features(toa))
    mixed = reduction.attend(q, k, v + curve.constant[128:].reshape(8, 8), bands).reshape(-1, 64)
    out = mixed @ state["layers.0.attention.attention.out_proj.weight"].T
    out = out + state["layers.0.attention.attention.out_proj.bias"]
    normal = (out - out.mean(axis=1, keepdims=True)) / np.sqrt(out.var(axis=1, keepdims=True) + tables.layer_norm_eps)
    normal = normal * state["layers.0.norm2.weight"] + state["layers.0.norm2.bias"]
    hidden = gelu(normal @ state["layers.0.ff.linear1.weight"].T + state["layers.0.ff.linear1.bias"])
    features = (hidden @ state["layers.0.ff.linear2.weight"].T).reshape(len(toa), bands, 64)[:, tables.order[:bands]]
    logits = np.maximum.accumulate(features, axis=1) @ tables.difference.astype(np.float64) + tables.offset
    figure, axes = plt.subplots(figsize=(4.6, 2.8))
    axes.plot(np.arange(1, bands + 1), logits.T, lw=0.5, color="C0", alpha=0.6)
    for stage in tables.stages[:-1]:
        axes.axvline(stage, color="0.6", lw=0.8)
    axes.axhspan(-4, 4, color="C1", alpha=0.15, lw=0)
    axes.set(
        xlabel="bands that have asked", ylabel="logit so far", title="Where one may stop (lines), and must not (band)"
    )
    _save(figure, "stages")


def _save(figure: plt.Figure, name: str) -> None:
    figure.tight_layout()
    figure.savefig(OUTPUT / f"{name}.png")


if __name__ == "__main__":
    main(*(sys.argv[1:] or ["builtin"]))
