"""Which wavelengths decide a pixel: attention, winners of the max pool, and occlusion."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spectf_cloud.errors import InputError, UsageError
from spectf_cloud.files.atomic import check_output
from spectf_cloud.products.figures import COLOURS, GREY, Chart, Line, break_at_gaps, save_png
from spectf_cloud.scene import Scene
from spectf_cloud.sensor import PUBLISHED_DROP_NM, BandRanges
from spectf_cloud.tokens import Tokens
from spectf_cloud.weights import BUILTIN, find_weights

if TYPE_CHECKING:
    from torch import Tensor

    from spectf_cloud.model import SpecTfEncoder

#: Bands left out together: the neighbours of a single band would replace it.
_WINDOW_BANDS = 9


@dataclass(frozen=True, eq=False)
class Explanation:
    """What decided one spectrum; arrays are (bands,) in the order of ``wavelength_nm``.

    Attributes
    ----------
    wavelength_nm, toa
        Band centres, nm, ascending, and TOA reflectance.
    probability, threshold
        Cloud probability and the weights' threshold.
    attention
        Share of all attention that each band receives, mean over heads and asking bands; sums to 1.
    wins
        Features of the max pool that each band supplies; None with another pooling. Sums to the width.
    occlusion
        Fall of the log-odds of cloud when the band and its neighbours (9 bands) are left out: positive where they
        indicate cloud.
    """

    wavelength_nm: NDArray[np.float64]
    toa: NDArray[np.float32]
    probability: float
    threshold: float
    attention: NDArray[np.float64]
    wins: NDArray[np.int64] | None
    occlusion: NDArray[np.float64]

    def to_png(self, path: str | Path, *, title: str = "", overwrite: bool = False) -> None:
        """Draw the explanation over wavelength. Raises `OutputError`, `MissingExtraError` without Matplotlib."""
        target = Path(path)
        check_output(target, overwrite=overwrite)
        kind = "cloud" if self.probability > self.threshold else "clear"
        named = f"{title}: " if title else ""
        heading = f"{named}{kind}, probability {self.probability:.3f} (threshold {self.threshold:g})"
        nm = self.wavelength_nm
        broken_nm, toa = break_at_gaps(nm, self.toa)
        panels = [
            (heading, "TOA reflectance", Line("", broken_nm, toa, "line", GREY)),
            ("Share of attention received", "share", Line("", nm, self.attention, "bars", COLOURS[0])),
            (
                "Occlusion: log-odds lost without the band (above 0: it indicates cloud)",
                "log-odds",
                Line("", nm, self.occlusion, "bars", COLOURS[1]),
            ),
        ]
        if self.wins is not None:
            panels.insert(2, ("Features won in the max pool", "features", Line("", nm, self.wins, "bars", COLOURS[2])))
        limits = float(nm[0]), float(nm[-1])
        charts = [Chart(title, "", label, [line], limits, None, 900, 230) for title, label, line in panels]
        charts[-1] = replace(charts[-1], x_label="wavelength, nm")
        save_png(target, charts, columns=1)


def explain(
    toa: ArrayLike,
    wavelength_nm: ArrayLike,
    *,
    weights: str | Path | SpecTfEncoder = BUILTIN,
    threshold: float | None = None,
) -> Explanation:
    """Explain one spectrum: (bands,) TOA reflectance with its (bands,) wavelengths, nm.

    Raises `UsageError` for arrays that do not fit or are not finite, `WeightsError` for unusable weights.
    """
    import torch  # here, so that a refused pixel does not load it

    from spectf_cloud.model import SpecTfEncoder
    from spectf_cloud.models.load import load_model

    values, centres_nm = np.asarray(toa, np.float32), np.asarray(wavelength_nm, np.float64)
    if values.ndim != 1 or values.shape != centres_nm.shape or not np.isfinite(values).all():
        raise UsageError(f"one finite spectrum with its wavelengths is needed, not {values.shape}, {centres_nm.shape}")
    order = np.argsort(centres_nm)
    values, centres_nm = values[order], centres_nm[order]
    if isinstance(weights, SpecTfEncoder):
        model, own = weights.config.build(centres_nm), 0.5
        model.load_state_dict(weights.state_dict())
        model.eval().requires_grad_(False)
    else:
        found = find_weights(weights)
        model, own = load_model(found, centres_nm), found.threshold
    if model.config.agg == "flat":
        raise UsageError("flat pooling needs every band, so none can be left out to explain a pixel")
    spectrum = torch.from_numpy(values)
    with torch.inference_mode():
        attention, tokens = _attention(model, spectrum)
        probability = float(torch.softmax(model(spectrum[None, :, None]), -1)[0, 1])
        occlusion = _occlusion(model, spectrum)
    wins = None
    if model.config.agg == "max":
        wins = torch.bincount(tokens.argmax(0), minlength=len(values)).numpy()
    return Explanation(
        centres_nm, values, probability, own if threshold is None else threshold, attention, wins, occlusion
    )


def explain_pixel(
    scene: Scene,
    line: int,
    sample: int,
    *,
    weights: str | Path = BUILTIN,
    irradiance: str | Path | None = None,
    drop_nm: BandRanges = PUBLISHED_DROP_NM,
) -> Explanation:
    """Explain one pixel of a scene, counted from 0. Raises `UsageError` outside it, `InputError` without data."""
    if not (0 <= line < scene.lines and 0 <= sample < scene.samples):
        raise UsageError(f"pixel {line},{sample} is outside the scene of {scene.lines} lines x {scene.samples} samples")
    tokens = Tokens.for_weights(scene, find_weights(weights), irradiance, drop_nm)
    toa = tokens.read_line(scene, line)[sample]
    if np.isnan(toa).any():
        raise InputError(f"{scene.name}: pixel {line},{sample} has no data; choose another")
    return explain(toa, tokens.wavelength_nm, weights=weights)


def _attention(model: SpecTfEncoder, spectrum: Tensor) -> tuple[NDArray[np.float64], Tensor]:
    """Return the share of attention of each band in the first layer (bands,), and the last tokens (bands, d)."""
    import torch
    from torch.nn import functional as F

    from spectf_cloud.model import EncoderLayer

    tokens = model.spectral_embed(spectrum[None], model.wavelength)
    layer = model.layers[0]
    assert isinstance(layer, EncoderLayer)
    mha = layer.attention.attention
    packed = F.linear(layer.norm1(tokens), mha.in_proj_weight, mha.in_proj_bias)
    bands, width = tokens.shape[1], tokens.shape[2] // mha.num_heads
    query, key, _ = packed.view(bands, 3, mha.num_heads, width).permute(1, 2, 0, 3)
    weights = torch.softmax(query @ key.transpose(1, 2) / width**0.5, -1)
    for each in model.layers:
        tokens = each(tokens)
    return weights.double().mean(dim=(0, 1)).numpy(), tokens[0]


def _occlusion(model: SpecTfEncoder, spectrum: Tensor) -> NDArray[np.float64]:
    """Return the log-odds with all bands minus those without each band's neighbourhood: (bands,)."""
    import torch

    from spectf_cloud.models.winners import logits

    bands = len(spectrum)
    window = min(_WINDOW_BANDS, bands - 1)
    starts = np.clip(np.arange(bands) - window // 2, 0, bands - window)
    kept = torch.from_numpy(np.stack([np.delete(np.arange(bands), slice(start, start + window)) for start in starts]))
    whole = model(spectrum[None, :, None])[0]
    parts = [logits(model, spectrum[rows], model.wavelength[rows]) for rows in torch.split(kept, 32)]
    without = torch.cat(parts)
    change: NDArray[np.float64] = ((whole[1] - whole[0]) - (without[:, 1] - without[:, 0])).double().numpy()
    return change
