"""`predict`: the one way from reflectance to cloud probability."""

from __future__ import annotations

import copy
import logging
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spectf_cloud.errors import MissingExtraError, UsageError
from spectf_cloud.inference.backend import Backend, SceneBackend, is_cpu, resolve_device
from spectf_cloud.inference.comparison import is_comparison, load_comparison
from spectf_cloud.inference.device_names import is_tensorrt
from spectf_cloud.inference.engines.native.backend import open_native
from spectf_cloud.inference.engines.numpy import exact_backend
from spectf_cloud.inference.options import Fidelity
from spectf_cloud.inference.promise import Unavailable
from spectf_cloud.models.load import load_network
from spectf_cloud.models.numpy_spectf import NumpySpecTf
from spectf_cloud.weights import BUILTIN, PUBLISHED_THRESHOLD, find_weights

if TYPE_CHECKING:
    from spectf_cloud.model import SpecTfEncoder

Float32Array = NDArray[np.float32]

logger = logging.getLogger(__name__)


def predict(
    toa: ArrayLike,
    wavelength_nm: ArrayLike,
    *,
    weights: str | Path | SpecTfEncoder = BUILTIN,
    device: str | int = "cpu",
    fidelity: Fidelity = "faithful",
) -> Float32Array:
    """Return the cloud probability of spectra.

    Parameters
    ----------
    toa
        (n, bands) TOA reflectance; used as float32. A row with a NaN or infinite value gives NaN.
    wavelength_nm
        (bands,) band centres, nm, in the order of ``toa``; any order, any number.
    weights
        A path, ``builtin``, a release such as ``official:v0.1.0``, or a loaded network. The path of a comparison
        model (see `spectf_cloud.inference.comparison`) works too, on the bands it was trained on.
    device
        ``cpu`` or −1, a GPU's number, ``cuda:0``, ``mps``, ``auto``, or ``tensorrt[:0]``.
    fidelity
        The loosest tier allowed: ``exact`` (float32), ``faithful`` or ``fast``.

    Returns
    -------
    (n,) float32 in 0–1, NaN where the input is not finite.

    Raises
    ------
    UsageError
        Arrays that do not fit each other, or an unknown device or fidelity.
    WeightsError, MissingExtraError
        Weights that cannot be used; a missing device.
    """
    try:
        pixels = np.asarray(toa, dtype=np.float32)
        centres_nm = np.asarray(wavelength_nm, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UsageError(f"toa and wavelength_nm must be arrays of numbers: {error}") from error
    if not centres_nm.size or not np.isfinite(centres_nm).all():
        raise UsageError("wavelength_nm must be finite band centres, nm, at least one")
    if pixels.ndim != 2 or centres_nm.shape != pixels.shape[1:]:
        raise UsageError(f"toa {pixels.shape} must be (n, bands) with one wavelength per band, not {centres_nm.shape}")
    backend: Backend
    if not isinstance(weights, (str, Path)):
        # A copy: the caller's network stays in its mode and on its device.
        model, threshold = copy.deepcopy(weights).eval(), PUBLISHED_THRESHOLD
        if not np.array_equal(model.wavelength.cpu().numpy(), NumpySpecTf.normalised(centres_nm)):
            raise UsageError("the loaded network was built for other wavelengths than wavelength_nm")
        backend = pick_backend(model, device=device, fidelity=fidelity, threshold=threshold)
    elif is_comparison(weights):
        backend = load_comparison(weights, centres_nm, device).backend
    else:
        found = find_weights(weights)
        network, threshold = load_network(found, centres_nm), found.threshold
        backend = pick_backend(network, device=device, fidelity=fidelity, threshold=threshold)
    result = np.full(len(pixels), np.nan, np.float32)
    usable = np.isfinite(pixels).all(axis=1)
    result[usable] = backend(pixels[usable])
    return result


def pick_backend(
    model: SpecTfEncoder | NumpySpecTf,
    *,
    device: str | int = "cpu",
    fidelity: Fidelity = "faithful",
    threshold: float = PUBLISHED_THRESHOLD,
    threads: int | None = None,
    engine: Path | None = None,
) -> SceneBackend:
    """Return the fastest backend for this device that keeps the tier's promise for these weights and bands.

    On a CPU, ``faithful`` and ``fast`` use the compiled kernel, else OpenVINO or ONNX Runtime if installed; on an
    NVIDIA GPU, the CUDA kernel. Each must pass its check, else the float32 network serves, which satisfies every tier:
    in PyTorch, or in NumPy for a network in NumPy. The reasons are logged. Near ``threshold``, the CPU's ``faithful``
    computes again in float32. ``device`` ``tensorrt`` or ``tensorrt:1`` is a GPU through a TensorRT engine: one of the
    cache, or ``engine``.

    Raises `UsageError` for unknown names, `MissingExtraError` for a missing device, and `EngineError`.
    """
    if fidelity not in get_args(Fidelity):
        raise UsageError(f"fidelity must be one of {', '.join(get_args(Fidelity))}, not {fidelity!r}")
    if model.config.dim_output != 2:
        raise UsageError(f"a cloud network has two outputs (clear, cloud), this one has {model.config.dim_output}")
    if not is_cpu(device):
        return _open_gpu(model, device, fidelity, threshold, engine)
    if fidelity == "exact":
        return exact_backend(model, threads)
    try:
        return open_native(model, fidelity, threshold, threads)
    except Unavailable as reason:
        logger.info("the compiled kernel does not serve fidelity %s: %s", fidelity, reason)
    if not isinstance(model, NumpySpecTf):
        from spectf_cloud.inference.engines.onnx.runtimes import open_runtime  # PyTorch writes its graph

        try:
            return open_runtime(model, threshold, threads)
        except Unavailable as reason:
            logger.info("float32 serves fidelity %s: %s", fidelity, reason)
    return exact_backend(model, threads)


def _open_gpu(
    model: SpecTfEncoder | NumpySpecTf, device: str | int, fidelity: Fidelity, threshold: float, engine: Path | None
) -> SceneBackend:
    if isinstance(model, NumpySpecTf):
        raise MissingExtraError(f"device {device} needs PyTorch: pip install torch; or use --device cpu")
    if is_tensorrt(device):
        from spectf_cloud.inference.engines.tensorrt.backend import open_tensorrt

        return open_tensorrt(model, str(device), fidelity, threshold, engine)
    target = resolve_device(device)
    from spectf_cloud.inference.engines.device import open_device

    return open_device(model, target, fidelity, threshold)
