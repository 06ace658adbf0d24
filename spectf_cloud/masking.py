"""From a scene to its cloud mask: the stream of lines through TOA and inference."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.inference.load import load_model
from spectf_cloud.inference.predict import Backend, Fidelity, pick_backend
from spectf_cloud.irradiance import read_irradiance
from spectf_cloud.memory import block_lines
from spectf_cloud.model import ModelConfig
from spectf_cloud.products.mask import CloudMask, Preview, check_threshold
from spectf_cloud.products.preview import PREVIEW_NM
from spectf_cloud.scene import NODATA, Scene
from spectf_cloud.sensor import PUBLISHED_DROP_NM, BandRanges
from spectf_cloud.toa import reflectance_per_radiance, resample_irradiance, toa_reflectance
from spectf_cloud.weights import BUILTIN, WeightsFile, find_weights, sha256_of

logger = logging.getLogger(__name__)


#: Called with (pixels done, pixels in all) as lines are finished.
Progress = Callable[[int, int], None]


def mask_scene(
    scene: Scene,
    *,
    weights: str | Path = BUILTIN,
    irradiance: str | Path | None = None,
    threshold: float | None = None,
    device: str | int = "cpu",
    fidelity: Fidelity = "faithful",
    drop_nm: BandRanges = PUBLISHED_DROP_NM,
    architecture: ModelConfig | None = None,
    memory_limit_bytes: int | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
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
        Bands not shown to the model, nm, ends included; ``()`` keeps all.
    architecture
        Of weights that have no card and are not of the published shape.
    memory_limit_bytes
        Bound for the resident memory of the process.
    threads
        CPU threads; by default PyTorch's setting.
    progress
        Called with (pixels done, pixels in all).

    Returns
    -------
    CloudMask
        Probability (lines, samples) float32, −9999 where a kept band, the geometry or the sun is missing.

    Raises
    ------
    InputError, WeightsError, UsageError, MissingExtraError
        See the messages; nothing is written here.
    """
    if threshold is not None:
        check_threshold(threshold)
    found = find_weights(weights)
    irradiance_path = Path(irradiance) if irradiance is not None else found.irradiance_path
    sunlight = read_irradiance(irradiance_path)
    if found.irradiance_sha256 not in (None, sha256_of(irradiance_path)):
        logger.warning("the weights %s were trained with another irradiance than %s", found.name, irradiance_path)
    kept = np.flatnonzero(scene.sensor.kept(drop_nm))
    wavelength_nm = scene.sensor.wavelength_nm[kept]
    solar = resample_irradiance(sunlight, wavelength_nm, scene.sensor.fwhm_nm[kept])
    model = load_model(found, wavelength_nm, architecture)
    chosen = found.threshold if threshold is None else threshold
    backend = pick_backend(model, device=device, fidelity=fidelity, threshold=chosen, threads=threads)
    lines_per_block = block_lines(scene, memory_limit_bytes)
    logger.info("weights %s (%s), irradiance %s", found.name, found.path, irradiance_path)
    logger.info("%d of %d bands, %s on %s", len(kept), scene.sensor.bands, backend.name, device)
    logger.info("%d lines at a time, Earth–Sun distance %.4f AU", lines_per_block, scene.earth_sun_au)
    stream = _Stream(scene, kept, reflectance_per_radiance(solar, scene.earth_sun_au), backend)
    probability, preview = stream.run(lines_per_block, progress)
    mask = CloudMask(
        scene=scene,
        probability=probability,
        threshold=chosen,
        tags=_provenance(scene, found, irradiance_path, chosen, backend),
        preview=Preview(wavelength_nm[stream.preview_bands], preview),
    )
    if (probability == NODATA).all():
        logger.warning("%s: no pixel has data; the mask is all no-data", scene.name)
    return mask


@dataclass(frozen=True, eq=False)
class _Stream:
    """One pass over the lines of a scene."""

    scene: Scene
    kept: NDArray[np.intp]
    factors: NDArray[np.float64]
    backend: Backend

    @property
    def preview_bands(self) -> NDArray[np.intp]:
        """Which kept bands the quicklook shows."""
        wavelength_nm = self.scene.sensor.wavelength_nm[self.kept]
        return np.array([np.abs(wavelength_nm - wanted).argmin() for wanted in PREVIEW_NM])

    def run(self, lines_per_block: int, progress: Progress | None) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Probability (lines, samples) with −9999, and preview reflectance (lines, samples, 6) with NaN."""
        scene = self.scene
        probability = np.full((scene.lines, scene.samples), NODATA, np.float32)
        preview = np.full((scene.lines, scene.samples, len(PREVIEW_NM)), np.nan, np.float32)
        preview_bands = self.preview_bands
        for start, stop in scene.blocks(lines_per_block):
            radiance = scene.read_radiance(start, stop)
            sun_zenith_deg = scene.read_sun_zenith_deg(start, stop)
            # Line by line, so that no result depends on how lines were grouped into blocks.
            for offset, line in enumerate(range(start, stop)):
                valid, toa = self._line_toa(radiance[offset], sun_zenith_deg[offset])
                if valid.any():
                    probability[line, valid] = self.backend(toa)
                    preview[line, valid] = toa[:, preview_bands]
                if progress:
                    progress((line + 1) * scene.samples, scene.lines * scene.samples)
        return probability, preview

    def _line_toa(
        self, radiance: NDArray[np.floating], sun_zenith_deg: NDArray[np.float64]
    ) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        """Which samples of a line can be masked, and the TOA reflectance of just those."""
        spectra = radiance[:, self.kept]
        valid = ~self.scene.radiance.missing(spectra).any(axis=1) & np.isfinite(sun_zenith_deg)
        return valid, toa_reflectance(spectra[valid], self.factors, sun_zenith_deg[valid])


def _provenance(
    scene: Scene, weights: WeightsFile, irradiance_path: Path, threshold: float, backend: Backend
) -> dict[str, str]:
    """What every product says about how it was made."""
    return {
        "SPECTF_VERSION": version("spectf-cloud"),
        "SPECTF_WEIGHTS": weights.name,
        "SPECTF_WEIGHTS_SHA256": weights.sha256,
        "SPECTF_THRESHOLD": repr(threshold),
        "SPECTF_IRRADIANCE_SHA256": sha256_of(irradiance_path),
        "SPECTF_RADIANCE": scene.radiance.path.name,
        "SPECTF_OBSERVATION": scene.observation.path.name,
        "SPECTF_BACKEND": backend.name,
        "SPECTF_FIDELITY": backend.fidelity,
    }
