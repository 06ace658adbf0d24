"""One scene from input files to every product asked for: what ``deploy-pt`` and ``deploy-trt`` do."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spectf_cloud.dataset import open_cube, open_scene, role
from spectf_cloud.errors import InputError, UsageError
from spectf_cloud.files.atomic import FORMS, check_output
from spectf_cloud.files.reading import reading
from spectf_cloud.files.resources import resource
from spectf_cloud.inference.kept import BackendSource, fresh_backend
from spectf_cloud.mapping.mask_scene import mask_scene
from spectf_cloud.mapping.memory import block_lines, parse_bytes
from spectf_cloud.mapping.stopwatch import Stopwatch
from spectf_cloud.mapping.stream import Progress
from spectf_cloud.models.arch_spec import ArchSpec, read_arch_spec
from spectf_cloud.products.cloud_mask import CloudMask
from spectf_cloud.products.geotiff import Georeference, crs_of
from spectf_cloud.readers.irradiance import read_irradiance
from spectf_cloud.readers.plausibility import check_plausible
from spectf_cloud.scene import NODATA, Scene
from spectf_cloud.sensor import PUBLISHED_DROP_NM
from spectf_cloud.weights import BUILTIN, files_of

if TYPE_CHECKING:
    from spectf_cloud.inference.backend import Fidelity

logger = logging.getLogger(__name__)

_SIDE_BY_SIDE = (("mask", "probability", "ortho"), ("netcdf",), ("quicklook",))
# Side by side the products need 160 to 220 bytes a pixel, in turn 80: beyond a granule's size that would be what a
# scene needs most memory for.
_LARGEST_SIDE_BY_SIDE = 1280 * 1300


@dataclass(frozen=True)
class DeployJob:
    """Everything ``deploy-pt`` and ``deploy-trt`` can be told.

    `out` is the mask; `probability` adds ``OUT_prob.tif`` beside it; `engine` goes with device ``tensorrt``.
    """

    out: Path
    radiance: Path
    observation: Path | None = None
    weights: str = BUILTIN
    irradiance: Path | None = None
    arch_spec: Path | None = None
    threshold: float | None = None
    device: str = "cpu"
    engine: Path | None = None
    fidelity: Fidelity = "faithful"
    keep_bands: bool = False
    probability: bool = False
    ortho: Path | None = None
    netcdf: Path | None = None
    quicklook: Path | None = None
    config: Path | None = None
    overwrite: bool = False
    memory_limit: str | None = None
    trust_input: bool = False

    @property
    def outputs(self) -> dict[str, Path]:
        """Files this job writes, by kind."""
        named = {
            "mask": self.out,
            "probability": self.out.with_name(f"{self.out.stem}_prob.tif") if self.probability else None,
            "ortho": self.ortho,
            "netcdf": self.netcdf,
            "quicklook": self.quicklook,
        }
        return {kind: path for kind, path in named.items() if path is not None}


@dataclass(frozen=True)
class DeployReport:
    """What came of a job. `cloud_fraction` is None where no pixel has data.

    `seconds` of wall-clock time: start-up, toa, inference, waiting (for lines to be read) and write follow each other
    and add up to whole; read passes beside them.
    """

    scene: str
    lines: int
    samples: int
    valid_pixels: int
    cloud_fraction: float | None
    threshold: float
    outputs: Mapping[str, Path]
    tags: Mapping[str, str]
    seconds: Mapping[str, float]


def deploy(
    job: DeployJob,
    progress: Progress | None = None,
    began: float | None = None,
    *,
    backends: BackendSource = fresh_backend,
    also: Callable[[CloudMask], None] | None = None,
) -> DeployReport:
    """Mask one scene and write its products; outputs are checked before any work. Raises `SpectfError`.

    ``began`` is the `time.perf_counter` from which seconds count; by default now. Many scenes in turn share a network
    through ``backends``. ``also`` is given the mask once its products are written.
    """
    began, watch = time.perf_counter() if began is None else began, Stopwatch()
    for output in job.outputs.values():
        _refuse_scene_as_output(output)
    if len({path.resolve() for path in job.outputs.values()}) < len(job.outputs):
        raise UsageError("two outputs have the same name; give each its own")
    with reading(job.radiance):
        scene = open_scene(job.radiance, job.observation)
    settings = [job.irradiance, job.arch_spec, job.config, job.engine, *files_of(job.weights)]
    inputs = [*scene.files, *filter(None, settings)]
    for kind, output in job.outputs.items():
        check_output(output, overwrite=job.overwrite, inputs=inputs, form=FORMS[kind])
    memory_limit_bytes = None if job.memory_limit is None else parse_bytes(job.memory_limit)
    block_lines(scene, memory_limit_bytes)  # before anything of the scene's size is read
    _check_georeference(scene, job)
    check_plausible(scene, read_irradiance(resource("irr.npy")), trust=job.trust_input)
    spec = read_arch_spec(job.arch_spec) if job.arch_spec else ArchSpec(None, PUBLISHED_DROP_NM)
    mask = mask_scene(
        scene,
        weights=job.weights,
        irradiance=job.irradiance,
        threshold=job.threshold,
        device=job.device,
        engine=job.engine,
        fidelity=job.fidelity,
        drop_nm=() if job.keep_bands else spec.drop_nm,
        architecture=spec.architecture,
        memory_limit_bytes=memory_limit_bytes,
        progress=progress,
        watch=watch,
        backends=backends,
    )
    with watch.stage("write"):
        _write(mask, job)
        if also is not None:
            also(mask)
    seconds = _by_stage(watch.seconds, time.perf_counter() - began)
    logger.info("seconds: %s", ", ".join(f"{stage} {spent:.1f}" for stage, spent in seconds.items()))
    return _report(scene, mask, job, seconds)


def _write(mask: CloudMask, job: DeployJob) -> None:
    """Kinds of files side by side, each kind in turn: rasters share GDAL's state and Python's warnings.

    All in turn where memory is asked to be saved, or the scene is large.
    """
    writers = {
        "mask": mask.to_geotiff,
        "probability": mask.to_probability_geotiff,
        "ortho": mask.to_ortho,
        "netcdf": mask.to_netcdf,
        "quicklook": mask.to_quicklook,
    }

    def write(kinds: tuple[str, ...]) -> None:
        for kind in kinds:
            if kind in job.outputs:
                writers[kind](job.outputs[kind], overwrite=job.overwrite)

    roomy = job.memory_limit is None and mask.probability.size <= _LARGEST_SIDE_BY_SIDE
    with ThreadPoolExecutor(len(_SIDE_BY_SIDE) if roomy else 1, "spectf-write") as pool:
        for _ in pool.map(write, _SIDE_BY_SIDE):
            pass


def _by_stage(measured: Mapping[str, float], whole: float) -> dict[str, float]:
    """Start-up is all that nothing else accounts for."""
    spent = {stage: measured.get(stage, 0.0) for stage in ("toa", "inference", "waiting", "write")}
    start_up = whole - sum(spent.values())
    return {"start-up": start_up, **spent, "whole": whole, "read": measured.get("read", 0.0)}


def _report(scene: Scene, mask: CloudMask, job: DeployJob, seconds: Mapping[str, float]) -> DeployReport:
    valid = int(np.count_nonzero(mask.probability != NODATA))
    return DeployReport(
        scene=scene.name,
        lines=scene.lines,
        samples=scene.samples,
        valid_pixels=valid,
        cloud_fraction=mask.cloud_fraction if valid else None,
        threshold=mask.threshold,
        outputs=job.outputs,
        tags=mask.tags,
        seconds={stage: round(spent, 3) for stage, spent in seconds.items()},
    )


def _refuse_scene_as_output(output: Path) -> None:
    """A swapped call would write over a scene: judge by what the file holds."""
    try:
        held = role(open_cube(output))
    except InputError:
        return
    if held is not None:
        raise UsageError(f"the output {output} holds {held}, never written over; the order is OUTFP OBSFP RDNFP")


def _check_georeference(scene: Scene, job: DeployJob) -> None:
    """What the products need besides the mask, read now rather than after an hour of inference."""
    Georeference.of_scene(scene)
    glt = scene.glt() if job.ortho or job.netcdf else None
    if glt is not None:
        crs_of(glt, scene.name)
    elif job.ortho and scene.grid() is None:
        raise InputError(f"{scene.radiance.path} carries no GLT, so --ortho cannot be written; leave it out")
