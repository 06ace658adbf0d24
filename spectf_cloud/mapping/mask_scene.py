"""From a scene to its cloud mask: what is needed for it, then one pass over its lines."""

from __future__ import annotations

import logging
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, cast

from spectf_cloud.inference.device_names import is_tensorrt, plain_name
from spectf_cloud.inference.kept import BackendSource, Wanted, fresh_backend
from spectf_cloud.mapping.memory import block_lines
from spectf_cloud.mapping.stopwatch import Stopwatch
from spectf_cloud.mapping.stream import OnProcessor, Progress, piece_lines, run_stream
from spectf_cloud.products.cloud_mask import CloudMask
from spectf_cloud.products.flags import SIMULATED, SIMULATED_TAG, Preview, check_threshold
from spectf_cloud.products.preview import PREVIEW_NM
from spectf_cloud.scene import NODATA, Scene
from spectf_cloud.sensor import PUBLISHED_DROP_NM, BandRanges
from spectf_cloud.tokens import Tokens
from spectf_cloud.weights import BUILTIN, WeightsFile, find_weights

if TYPE_CHECKING:
    from spectf_cloud.architecture import Architecture
    from spectf_cloud.inference.backend import Backend, Fidelity
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
        (n, 2) .npy of nm and uW cm-2 nm-1; by default the one that belongs to the weights.
    threshold
        Cloud where the probability is above it; by default the weights' own.
    drop_nm
        Bands not shown to the model, nm, ends included; ``()`` keeps all that hold data, those marked bad in the file
        among them.
    architecture
        Of weights that have no card and are not of the published shape.
    memory_limit_bytes
        Bound for the resident memory of the process.
    threads
        CPU threads; by default PyTorch's setting.
    progress
        Called with (pixels done, pixels in all), on the calling thread.
    watch
        Learns the seconds of each stage.
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
        See the messages; nothing is written here.
    """
    if threshold is not None:
        check_threshold(threshold)
    if not is_tensorrt(device):
        plain_name(device)
    found = find_weights(weights)
    tokens = Tokens.for_weights(scene, found, irradiance, drop_nm)
    from spectf_cloud.inference.backend import cpu_threads, is_cpu  # and PyTorch, once nothing speaks against the job

    chosen = found.threshold if threshold is None else threshold
    # Several lines side by side on one thread each: no thread waits for the others at the end of a line.
    workers = threads or cpu_threads()
    on_cpu = is_cpu(device)
    wanted = Wanted(
        weights=found,
        wavelength_nm=tokens.wavelength_nm,
        architecture=architecture,
        device=device,
        fidelity=fidelity,
        threshold=chosen,
        threads=1 if on_cpu else workers,
        engine=engine,
    )
    backend = backends(wanted)
    for note in tokens.notes:
        logger.warning("%s", note)
    shown = tokens.nearest(PREVIEW_NM)
    watch = watch or Stopwatch()
    on_device = cast("DeviceBackend", backend) if hasattr(backend, "probability") else None  # its module needs PyTorch
    if on_device:
        from spectf_cloud.mapping.device_stream import device_lines, run_on_device

        lines_per_block = device_lines(scene, on_device.device, memory_limit_bytes)
    else:
        compute = OnProcessor(tokens, shown, backend, workers if on_cpu else 1, watch)
        lines_per_block = block_lines(scene, memory_limit_bytes, 2 * compute.workers * piece_lines(scene, compute))
    logger.info("weights %s (%s), irradiance %s", found.name, found.path, tokens.irradiance)
    logger.info("%d of %d bands, %s on %s", len(tokens.kept), scene.sensor.bands, backend.name, device)
    logger.info("%d lines at a time, Earth–Sun distance %.4f AU", lines_per_block, scene.earth_sun_au)
    if on_device:
        rows = run_on_device(scene, tokens, shown, on_device, lines_per_block, watch, progress)
    else:
        rows = run_stream(scene, compute, len(shown), lines_per_block, watch, progress)
    mask = CloudMask(
        scene=scene,
        probability=rows.probability,
        threshold=chosen,
        tags=_provenance(scene, tokens, found, chosen, backend),
        preview=Preview(tokens.wavelength_nm[shown], rows.preview),
    )
    if (rows.probability == NODATA).all():
        logger.warning("%s: no pixel has data; the mask is all no-data", scene.name)
    return mask


def _provenance(
    scene: Scene, tokens: Tokens, weights: WeightsFile, threshold: float, backend: Backend
) -> dict[str, str]:
    """What every product says about how it was made."""
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
