"""``spectf-cloud deploy-pt``: one scene to a cloud mask."""

from __future__ import annotations

import typer

from spectf_cloud.cli.config_file import ConfigFile
from spectf_cloud.cli.deploy_options import DEPLOYING, ENV, ReadTimeout, SceneFiles, mask
from spectf_cloud.cli.fields import takes
from spectf_cloud.cli.reporting import Overwrite, Reporter
from spectf_cloud.files.reading import READ_TIMEOUT_S
from spectf_cloud.inference.options import MaskOptions
from spectf_cloud.mapping.outputs import Products


@takes(DEPLOYING, ENV)
def deploy_pt(
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
    """Mask the clouds of one scene.

    spectf-cloud deploy-pt mask.tif EMIT_L1B_RAD_….nc finds the OBS file next to the radiance;
    spectf-cloud deploy-pt OUT.tif OBS.hdr RDN.hdr --proba is the published call.
    """
    mask(context, files, reporter, options=options, products=products, config=config, overwrite=overwrite)
