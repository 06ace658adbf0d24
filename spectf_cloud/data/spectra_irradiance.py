"""The solar irradiance of labelled spectra, compared with that of the network that they train or score."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from spectf_cloud.data.spectra_cache import CachedFile
from spectf_cloud.errors import InputError
from spectf_cloud.files.resources import NAME_IRRADIANCE
from spectf_cloud.readers.irradiance import Irradiance, irradiance_of_weights, named_irradiance
from spectf_cloud.weights import Checkpoint

logger = logging.getLogger(__name__)


def irradiance_of_run(
    stated: str | None, files: Sequence[CachedFile], start: Checkpoint | None = None
) -> Irradiance | None:
    """Return the irradiance for the card of a network: ``stated``, else that of the data, else that of ``start``.

    Warn where these differ. Raises `InputError` where none is known.
    """
    known = {file.irradiance: file for file in files if file.irradiance}
    earlier = irradiance_of_weights(start) if start is not None else None
    if stated is not None:
        chosen: Irradiance | None = named_irradiance(stated)
    elif len(known) > 1:
        logger.warning(
            "the data were made with different irradiances: %s; the card names none: choose one with --irradiance",
            ", ".join(f"{file.source.name} with {irradiance}" for irradiance, file in known.items()),
        )
        return None
    else:
        chosen = next(iter(known), earlier)
    if chosen is None:
        source = files[0].source
        raise InputError(f"{source} does not say which solar irradiance it was made with; {NAME_IRRADIANCE}")
    for irradiance, file in known.items():
        if irradiance != chosen:
            logger.warning("%s says that it was made with the irradiance %s, not %s", file.source, irradiance, chosen)
    if earlier not in (None, chosen):
        logger.warning("--init was trained with the irradiance %s, these data were made with %s", earlier, chosen)
    elif stated is None and not known:
        logger.warning("the data do not say their solar irradiance; that of --init is used: %s", chosen)
    for file in files:
        if stated is None and known and not file.irradiance:
            logger.warning("%s does not say its solar irradiance; that of the others is used: %s", file.source, chosen)
    return chosen


def check_same_irradiance(model: str, irradiance: Irradiance | None, files: Sequence[CachedFile]) -> None:
    """Warn where a network was trained with another irradiance than the labelled spectra were made with."""
    for file in files:
        if irradiance is not None and file.irradiance not in (None, irradiance):
            logger.warning(
                "%s was made with the irradiance %s, but %s was trained with %s: its scores suffer from the difference",
                *(file.source, file.irradiance, model, irradiance),
            )
