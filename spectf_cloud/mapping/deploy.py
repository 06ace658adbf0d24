"""Mask one scene and write its products: the work of ``deploy-pt`` and ``deploy-trt``."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from spectf_cloud.dataset import open_cube, open_scene, role
from spectf_cloud.errors import InputError, UsageError
from spectf_cloud.files.atomic import FORMS, check_output
from spectf_cloud.files.reading import reading
from spectf_cloud.files.resources import PUBLISHED, irradiance_file
from spectf_cloud.inference.kept import BackendSource, fresh_backend
from spectf_cloud.inference.options import MaskOptions
from spectf_cloud.mapping.mask_scene import mask_by
from spectf_cloud.mapping.memory import block_lines
from spectf_cloud.mapping.outputs import Products
from spectf_cloud.mapping.stopwatch import Stopwatch
from spectf_cloud.mapping.stream import Progress
from spectf_cloud.models.arch_spec import read_arch_spec
from spectf_cloud.products.cloud_mask import CloudMask
from spectf_cloud.products.geotiff import Georeference, crs_of
from spectf_cloud.readers.irradiance import read_irradiance
from spectf_cloud.readers.plausibility import check_plausible
from spectf_cloud.scene import NODATA, Scene
from spectf_cloud.weights import files_of

logger = logging.getLogger(__name__)

_SIDE_BY_SIDE = (("mask", "probability", "ortho"), ("netcdf",), ("quicklook",))
# Written in parallel, the products need 160 to 220 bytes a pixel, one by one 80. Above a granule's size this would be
# the largest part of a scene's memory.
_MAX_PIXELS_SIDE_BY_SIDE = 1280 * 1300


@dataclass(frozen=True)
class DeployJob:
    """One scene to mask: its files, the options, and the products. `out` is the mask."""

    out: Path
    radiance: Path
    observation: Path | None = None
    options: MaskOptions = field(default_factory=MaskOptions)
    products: Products = field(default_factory=Products)
    config: Path | None = None
    overwrite: bool = False

    @property
    def outputs(self) -> dict[str, Path]:
        """Return the files this job writes, by kind."""
        return self.products.paths(self.out)


@dataclass(frozen=True)
class DeployReport:
    """Result of a job. `cloud_fraction` is None where no pixel has data.

    `seconds` are wall-clock time: start-up, toa, inference, waiting (for lines to be read) and write follow each other
    and add up to whole; read overlaps them.
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

    ``began`` is the `time.perf_counter` from which seconds count; by default now. Successive scenes share a network
    through ``backends``. ``also`` is called with the mask once its products are written.
    """
    began, watch = time.perf_counter() if began is None else began, Stopwatch()
    scene = _checked_scene(job)
    spec = read_arch_spec(job.options.arch_spec, keep_bands=job.options.keep_bands)
    mask = mask_by(scene, job.options, spec, progress=progress, watch=watch, backends=backends)
    with watch.stage("write"):
        _write(mask, job)
        if also is not None:
            also(mask)
    seconds = _by_stage(watch.seconds, time.perf_counter() - began)
    logger.info("seconds: %s", ", ".join(f"{stage} {spent:.1f}" for stage, spent in seconds.items()))
    return _report(scene, mask, job, seconds)


def _checked_scene(job: DeployJob) -> Scene:
    """Open the scene and check its outputs, its size and its content. Raises `SpectfError`."""
    for output in job.outputs.values():
        _refuse_scene_as_output(output)
    if len({path.resolve() for path in job.outputs.values()}) < len(job.outputs):
        raise UsageError("two outputs have the same name; give each its own")
    with reading(job.radiance):
        scene = open_scene(job.radiance, job.observation)
    options = job.options
    irradiance = None if options.irradiance is None else irradiance_file(options.irradiance)
    settings = [irradiance, options.arch_spec, options.engine, job.config, *files_of(options.weights)]
    inputs = [*scene.files, *(Path(path) for path in settings if path is not None)]
    for kind, output in job.outputs.items():
        check_output(output, overwrite=job.overwrite, inputs=inputs, form=FORMS[kind])
    block_lines(scene, options.memory_limit_bytes)  # before anything of the scene's size is allocated
    _check_georeference(scene, job.products)
    check_plausible(scene, read_irradiance(irradiance_file(PUBLISHED)), trust=options.trust_input)
    return scene


def _write(mask: CloudMask, job: DeployJob) -> None:
    """Write kinds of files in parallel, but rasters one by one: they share GDAL's state and Python's warnings.

    With a memory limit or a large scene, all files are written one by one.
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

    roomy = job.options.memory_limit is None and mask.probability.size <= _MAX_PIXELS_SIDE_BY_SIDE
    with ThreadPoolExecutor(len(_SIDE_BY_SIDE) if roomy else 1, "spectf-write") as pool:
        for _ in pool.map(write, _SIDE_BY_SIDE):
            pass


def _by_stage(measured: Mapping[str, float], whole: float) -> dict[str, float]:
    """Return the seconds of each stage; start-up is the rest of the whole."""
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
    """Refuse an output that holds a scene, as in a call with swapped arguments. Raises `UsageError`."""
    try:
        held = role(open_cube(output))
    except InputError:
        return
    if held is not None:
        raise UsageError(f"the output {output} holds {held} and is not replaced; the order is OUTFP OBSFP RDNFP")


def _check_georeference(scene: Scene, products: Products) -> None:
    """Read the georeference that the products need before hours of inference. Raises `InputError`."""
    Georeference.of_scene(scene)
    glt = scene.glt() if products.ortho or products.netcdf else None
    if glt is not None:
        crs_of(glt, scene.name)
    elif products.ortho and scene.grid() is None:
        raise InputError(f"{scene.radiance.path} has no GLT, so --ortho cannot be written; leave it out")
