"""Random networks and spectra to compare engines on."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from spectf_cloud.inference.engines.native.build import cpu_features, levels
from spectf_cloud.model import SpecTfEncoder

USABLE = [level for level in levels() if level.needs <= cpu_features()]


def lively_model(wavelength_nm: NDArray[np.float64], seed: int = 0) -> SpecTfEncoder:
    """A random network whose attention prefers some bands and whose answers differ between spectra."""
    torch.manual_seed(seed)
    model = SpecTfEncoder(wavelength_nm)
    with torch.no_grad():
        model.spectral_embed.linear.weight.mul_(3)
        model.layers[0].attention.attention.in_proj_weight.mul_(2.5)
        model.layers[0].attention.attention.in_proj_bias.normal_(0, 0.3)
        for norm in (model.layers[0].norm1, model.layers[0].norm2):
            norm.weight.uniform_(0.5, 1.5)
            norm.bias.normal_(0, 0.2)
        model.head.weight.mul_(8)
        model.head.weight.sub_(model.head.weight.mean(dim=1, keepdim=True))
    return model.eval().requires_grad_(False)


def smooth_spectra(n: int, bands: int, seed: int = 1) -> NDArray[np.float32]:
    """Spectra between 0 and about 1.2: smooth curves with two absorption holes."""
    random = np.random.default_rng(seed)
    x = np.linspace(-1, 1, bands)
    curve = sum(random.normal(0, 1 / (1 + k), (n, 1)) * np.cos(k * np.arccos(x)) for k in range(6))
    holes = 1 - 0.9 * np.exp(-(((x + 0.1) / 0.06) ** 2)) - 0.8 * np.exp(-(((x - 0.45) / 0.05) ** 2))
    return (random.uniform(0.05, 1.2, (n, 1)) / (1 + np.exp(-curve)) * holes).astype(np.float32)


def network(bands: int, seed: int = 0, **shape: object) -> SpecTfEncoder:
    """A small network whose every parameter is away from its initial 0 or 1."""
    torch.manual_seed(seed)
    model = SpecTfEncoder(np.linspace(400, 2450, bands), **shape).eval()  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model


def spectra(pixels: int, bands: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 1.2, (pixels, bands)).astype(np.float32)
