"""Pictures of a scene as arrays: true and false colour, probability, mask outline, no-data hatching."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.products.flags import FloatArray

Rgb = NDArray[np.uint8]
Flags = NDArray[np.bool_]

OUTLINE = (255, 20, 120)
# Share of the outline's colour over clouds, which shows inside from outside; TINT is that on white.
_WASH = 0.14
TINT = (255, 222, 236)
HATCH_BACKGROUND, HATCH_LINE = (222, 224, 227), (190, 194, 199)
CLEAR_COLOUR, CLOUD_COLOUR = (46, 74, 98), (255, 255, 255)

# Pixels from which a picture's percentiles are computed.
_MAX_PIXELS = 200_000
_GAMMA = 1 / 2


def true_colour(reflectance: FloatArray) -> Rgb:
    """Return RGB of red, green, blue reflectance (lines, samples, 3); NaN becomes black.

    Each band loses its own haze (1st percentile), but all share one white, so that colours stay natural.
    """
    low, high = _percentiles(reflectance, 1, 98.5)
    return _stretch(reflectance, low, np.full(3, max(high.max(), low.max() + 0.05)))


def vapour_colour(reflectance: FloatArray) -> Rgb:
    """Return RGB of reflectance in three water-vapour bands (lines, samples, 3); NaN becomes black.

    Black is zero. White is at least 0.05, so that a cloudless sky is dark rather than amplified noise.
    """
    _, high = _percentiles(reflectance, 1, 99.5)
    return _stretch(reflectance, np.zeros(3), np.maximum(high, 0.05))


def probability_colour(probability: FloatArray) -> Rgb:
    """Return RGB of probability (lines, samples), 0 to 1, by `colour_map`; no data has the colour of 0."""
    return colour_map()[(np.clip(probability, 0, 1) * 255 + 0.5).astype(np.uint8)]


def mask_colour(cloud: Flags) -> Rgb:
    """Return RGB of a mask (lines, samples) bool: white cloud on slate."""
    return np.where(cloud[..., None], np.array(CLOUD_COLOUR, np.uint8), np.array(CLEAR_COLOUR, np.uint8))


def colour_map(steps: int = 256) -> Rgb:
    """Return (steps, 3) from deep blue through teal and sand to near white, even in perceived lightness.

    Drawn in Oklab (Ottosson 2020, https://bottosson.github.io/posts/oklab), where equal steps look equal.
    """
    at = np.linspace(0, 1, steps)
    lightness = 0.26 + 0.71 * at
    chroma = np.interp(at, [0, 0.35, 0.7, 1], [0.085, 0.095, 0.105, 0.03])
    hue = np.radians(np.interp(at, [0, 0.35, 0.7, 1], [268, 225, 110, 85]))
    return _oklab_to_rgb(lightness, chroma * np.cos(hue), chroma * np.sin(hue))


def outlined(picture: Rgb, cloud: Flags, elsewhere: Flags, width: int) -> Rgb:
    """Return ``picture`` with a rim around the areas ``cloud`` (lines, samples) and a faint wash within."""
    colour = np.array(OUTLINE, np.uint8)
    washed = (picture * (1 - _WASH) + colour * _WASH + 0.5).astype(np.uint8)
    rim = outline(cloud, elsewhere, width)
    return np.where(rim[..., None], colour, np.where(cloud[..., None], washed, picture))


def outline(cloud: Flags, elsewhere: Flags, width: int) -> Flags:
    """Return the rim of the areas ``cloud`` (lines, samples), inside them and ``width`` pixels wide.

    There is no rim along the picture's border or against ``elsewhere``, the pixels without data.
    """
    inner = cloud | elsewhere
    for _ in range(width):
        padded = np.pad(inner, 1, constant_values=True)
        inner = inner & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return cloud & ~inner


def hatched(lines: int, samples: int) -> Rgb:
    """Return (lines, samples, 3) of light grey with diagonal lines, which mean no data."""
    diagonal = np.add.outer(np.arange(lines), np.arange(samples)) % 8 < 2
    return np.where(diagonal[..., None], np.array(HATCH_LINE, np.uint8), np.array(HATCH_BACKGROUND, np.uint8))


def _percentiles(values: FloatArray, low: float, high: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return two percentiles of each band over evenly spaced pixels with data; 0 and 1 when none has."""
    step = max(1, round((values.shape[0] * values.shape[1] / _MAX_PIXELS) ** 0.5))
    chosen = values[::step, ::step].reshape(-1, values.shape[-1])
    chosen = chosen[np.isfinite(chosen).all(axis=1)]
    if not len(chosen):
        return np.zeros(values.shape[-1]), np.ones(values.shape[-1])
    return tuple(np.percentile(chosen.astype(np.float64), [low, high], axis=0))


def _stretch(values: FloatArray, low: NDArray[np.float64], high: NDArray[np.float64]) -> Rgb:
    """Scale low..high to 0..255 and brighten the dark half."""
    picture = np.zeros(values.shape, dtype=np.uint8)
    for band in range(values.shape[-1]):  # one at a time: scenes are large
        share = np.clip((values[..., band] - low[band]) / (high[band] - low[band]), 0, 1)
        picture[..., band] = np.nan_to_num(share**_GAMMA * 255 + 0.5).astype(np.uint8)
    return picture


def _oklab_to_rgb(lightness: NDArray[np.float64], a: NDArray[np.float64], b: NDArray[np.float64]) -> Rgb:
    """Convert Oklab to 8-bit sRGB, clipped to its range."""
    cone_root = np.stack(
        [
            lightness + 0.3963377774 * a + 0.2158037573 * b,
            lightness - 0.1055613458 * a - 0.0638541728 * b,
            lightness - 0.0894841775 * a - 1.2914855480 * b,
        ]
    )
    to_linear = np.array(
        [
            [4.0767416621, -3.3077115913, 0.2309699292],
            [-1.2684380046, 2.6097574011, -0.3413193965],
            [-0.0041960863, -0.7034186147, 1.7076147010],
        ]
    )
    linear = np.clip(to_linear @ cone_root**3, 0, 1)
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return (srgb.T * 255 + 0.5).astype(np.uint8)
