"""Random fields with the scale-free look of clouds and landscapes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]


def power_law(
    shape: tuple[int, int], exponent: float, rng: np.random.Generator, periodic: bool = False
) -> Float32Array:
    """A Gaussian field of power spectrum k^-exponent, mean 0 and standard deviation 1.

    Above a scale of half the longer side the spectrum is flat.

    Parameters
    ----------
    shape
        (lines, samples).
    exponent
        Of the two-dimensional power spectrum; larger is smoother.
    periodic
        Whether opposite edges fit together; else the field is cut from a larger one.

    Returns
    -------
    (lines, samples) float32.
    """
    lines, samples = shape if periodic else (_fast_size(side + max(side // 4, 8)) for side in shape)
    frequency = np.hypot(np.fft.fftfreq(lines)[:, None], np.fft.rfftfreq(samples))
    amplitude = np.maximum(frequency, 2.0 / max(shape)) ** (-exponent / 2)
    amplitude[0, 0] = 0.0
    spectrum = np.fft.rfft2(rng.standard_normal((lines, samples), dtype=np.float32)) * amplitude
    field = np.fft.irfft2(spectrum, s=(lines, samples))[: shape[0], : shape[1]]
    scaled: Float32Array = ((field - field.mean()) / (field.std() or 1.0)).astype(np.float32)
    return scaled


def blur(field: Float32Array, sigma: float) -> Float32Array:
    """Gaussian blur, sigma in pixels, edges repeated."""
    reach = int(np.ceil(3 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    for axis in (0, 1):
        padding = [(0, 0), (0, 0)]
        padding[axis] = (reach, reach)
        padded = np.pad(field, padding, mode="edge")
        size = field.shape[axis]
        field = np.zeros_like(field)
        for offset, weight in enumerate(kernel):
            field += np.float32(weight) * np.take(padded, range(offset, offset + size), axis=axis)
    return field


def covering(field: Float32Array, share: float) -> Float32Array:
    """How far a field rises above the level that the given share of pixels exceeds, 0 elsewhere."""
    if share <= 0:
        return np.zeros_like(field)
    level = np.quantile(field, max(1.0 - share, 0.0))
    above: Float32Array = np.maximum(field - np.float32(level), 0)
    return above


def soft_choice(fields: list[Float32Array], gain: float) -> Float32Array:
    """Shares (choices, lines, samples) float32 adding to 1: the softmax of gain·field."""
    shares = np.float32(gain) * np.stack(fields)
    shares -= shares.max(axis=0)
    np.exp(shares, out=shares)
    shares /= shares.sum(axis=0)
    return shares


def _fast_size(size: int) -> int:
    """The next size whose only prime factors are 2, 3 and 5, which the FFT likes."""
    while True:
        rest = size
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return size
        size += 1
