"""``spectf-cloud deploy-trt``: one scene to a cloud mask by a TensorRT engine."""

from __future__ import annotations

import typer

from spectf_cloud.cli.config_file import ConfigFile
from spectf_cloud.cli.deploy_options import DEPLOYING, ENV, MODEL, ReadTimeout, SceneFiles, mask
from spectf_cloud.cli.fields import Shown, takes
from spectf_cloud.cli.reporting import Overwrite, Reporter
from spectf_cloud.files.reading import READ_TIMEOUT_S
from spectf_cloud.inference.options import MaskOptions
from spectf_cloud.mapping.outputs import Products

_ENGINE = Shown("Engine of spectf-cloud export engine; default: from the cache, built if missing.", MODEL)
_DEVICE = Shown("GPU number, or auto.", MODEL, type=str, default="0", make="tensorrt:{}".format)


@takes({"engine": _ENGINE, **DEPLOYING, "device": _DEVICE}, ENV)
def deploy_trt(
    context: typer.Context,
    files: SceneFiles,
    products: Products,
    *,
    overwrite: Overwrite = False,
    options: MaskOptions,
    read_timeout: ReadTimeout = READ_TIMEOUT_S,
    config: ConfigFile = None,
    reporter: Reporter,
) -> None:
    """Mask the clouds of one scene with NVIDIA TensorRT.

    Like deploy-pt, with an engine for this GPU, these weights and the bands of the scene.
    """
    mask(context, files, reporter, options=options, products=products, config=config, overwrite=overwrite)
