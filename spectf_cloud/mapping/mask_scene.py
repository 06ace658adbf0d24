"""Mask a scene: prepare tokens and backend, then compute line by line."""

from __future__ import annotations

import logging
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.inference.device_names import is_tensorrt, plain_name
from spectf_cloud.inference.kept import BackendRequest, BackendSource, fresh_backend
from spectf_cloud.inference.options import Fidelity, MaskOptions
from spectf_cloud.mapping.memory import block_lines
from spectf_cloud.mapping.stopwatch import Stopwatch
from spectf_cloud.mapping.stream import OnProcessor, Progress, Rows, piece_lines, run_stream
from spectf_cloud.models.arch_spec import ArchSpec
from spectf_cloud.products.cloud_mask import CloudMask
from spectf_cloud.products.flags import SIMULATED, SIMULATED_TAG, Preview, check_threshold
from spectf_cloud.products.preview import PREVIEW_NM
from spectf_cloud.scene import NODATA, Scene
from spectf_cloud.sensor import PUBLISHED_DROP_NM, BandRanges
from spectf_cloud.tokens import Tokens
from spectf_cloud.weights import BUILTIN, Checkpoint, find_weights

if TYPE_CHECKING:
    from spectf_cloud.architecture import Architecture
    from spectf_cloud.inference.backend import Backend, SceneBackend
    from spectf_cloud.inference.engines.device import DeviceBackend

logger = logging.getLogger(__name__)


def mask_scene(
    scene: Scene,
    *,
    weights: str | Path = BUILTIN,
    irradiance: str | Path | None = None,
    threshold: float | None = None,
    device: str | int = "cpu",
    fidelity: Fidelity = "faithful",
    drop_nm: BandRanges = PUBLISHED_DROP_NM,
    architecture: Architecture | None = None,
    memory_limit_bytes: int | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
    watch: Stopwatch | None = None,
    engine: Path | None = None,
    backends: BackendSource = fresh_backend,
) -> CloudMask:
    """Mask a scene, a few lines in memory at a time.

    Parameters
    ----------
    scene
        From `open_scene`.
    weights
        A path, ``builtin``, or a release such as ``official:v0.1.0``.
    device, fidelity
        As for `predict`.
    irradiance
        ``published``, ``astm-g173``, or an (n, 2) .npy of nm and uW cm-2 nm-1; by default the weights' own.
    threshold
        Cloud where the probability is above it; by default the weights' own.
    drop_nm
        Bands not shown to the model, nm, ends included; ``()`` keeps all that hold data, those marked bad in the file
        among them.
    architecture
        Shape of weights without a card, if it is not the published one.
    memory_limit_bytes
        Bound for the resident memory of the process.
    threads
        CPU threads; by default PyTorch's setting.
    progress
        Called with (pixels done, all pixels), on the calling thread.
    watch
        Gets the seconds of each stage.
    engine
        With device ``tensorrt``: the engine to use instead of one of the cache.
    backends
        Where the network comes from: loaded now, or kept from an earlier scene (`KeptBackend`).

    Returns
    -------
    CloudMask
        Probability (lines, samples) float32, −9999 where a kept band, the geometry or the sun is missing.

    Raises
    ------
    InputError, WeightsError, UsageError, MissingExtraError, EngineError
        The message says what is wrong and what to do.
    """
    options = MaskOptions(
        weights=weights,
        irradiance=irradiance,
        threshold=threshold,
        device=device,
        engine=engine,
        fidelity=fidelity,
        memory_limit=memory_limit_bytes,
        threads=threads,
    )
    return mask_by(scene, options, ArchSpec(architecture, drop_nm), progress=progress, watch=watch, backends=backends)


def mask_by(
    scene: Scene,
    options: MaskOptions,
    spec: ArchSpec,
    *,
    progress: Progress | None = None,
    watch: Stopwatch | None = None,
    backends: BackendSource = fresh_backend,
) -> CloudMask:
    """Mask a scene by options and the content of their ``arch_spec``; for the rest see `mask_scene`."""
    if options.threshold is not None:
        check_threshold(options.threshold)
    if not is_tensorrt(options.device):
        plain_name(options.device)
    weights = find_weights(options.weights)
    tokens = Tokens.for_weights(scene, weights, options.irradiance, spec.drop_nm)
    threshold = weights.threshold if options.threshold is None else options.threshold
    settled, workers = _settled(replace(options, threshold=threshold))
    backend = backends(BackendRequest(weights, spec.architecture, tokens.wavelength_nm, settled))
    for note in tokens.notes:
        logger.warning("%s", note)
    logger.info("weights %s (%s), irradiance %s", weights.name, weights.path, tokens.irradiance)
    logger.info("%d of %d bands, %s on %s", len(tokens.kept), scene.sensor.bands, backend.name, options.device)
    shown = tokens.nearest(PREVIEW_NM)
    rows = _rows(scene, tokens, shown, backend, workers, options.memory_limit_bytes, watch or Stopwatch(), progress)
    if (rows.probability == NODATA).all():
        logger.warning("%s: no pixel has data; the mask is all no-data", scene.name)
    return CloudMask(
        scene=scene,
        probability=rows.probability,
        threshold=threshold,
        tags=_provenance(scene, tokens, weights, threshold, backend),
        preview=Preview(tokens.wavelength_nm[shown], rows.preview),
    )


def _settled(options: MaskOptions) -> tuple[MaskOptions, int]:
    """Return the options with the threads of the backend, and how many threads call it at once.

    On a CPU each line gets one thread, so that no thread waits for the others at the end of a line.
    """
    from spectf_cloud.inference.backend import cpu_threads, is_cpu  # loads PyTorch, so only after the checks

    threads = options.threads or cpu_threads()
    on_cpu = is_cpu(options.device)
    return (replace(options, threads=1), threads) if on_cpu else (replace(options, threads=threads), 1)


def _rows(
    scene: Scene,
    tokens: Tokens,
    shown: NDArray[np.intp],
    backend: SceneBackend,
    workers: int,
    limit_bytes: int | None,
    watch: Stopwatch,
    progress: Progress | None,
) -> Rows:
    if backend.feed == "tensors":
        from spectf_cloud.mapping.device_stream import device_lines, run_on_device

        on_device = cast("DeviceBackend", backend)
        lines = _said(device_lines(scene, on_device.device, limit_bytes), scene)
        return run_on_device(scene, tokens, shown, on_device, lines, watch, progress)
    compute = OnProcessor(tokens, shown, backend, workers, watch)
    lines = _said(block_lines(scene, limit_bytes, 2 * compute.workers * piece_lines(scene, compute)), scene)
    return run_stream(scene, compute, len(shown), lines, watch, progress)


def _said(lines: int, scene: Scene) -> int:
    logger.info("%d lines at a time, Earth–Sun distance %.4f AU", lines, scene.earth_sun_au)
    return lines


def _provenance(
    scene: Scene, tokens: Tokens, weights: Checkpoint, threshold: float, backend: Backend
) -> dict[str, str]:
    mark = {SIMULATED_TAG: SIMULATED} if scene.simulated else {}
    return {
        **mark,
        "SPECTF_VERSION": version("spectf-cloud"),
        "SPECTF_WEIGHTS": weights.name,
        "SPECTF_WEIGHTS_SHA256": weights.sha256,
        "SPECTF_THRESHOLD": repr(threshold),
        **scene.tags,
        "SPECTF_BACKEND": backend.name,
        "SPECTF_FIDELITY": backend.fidelity,
        **tokens.tags,
    }
