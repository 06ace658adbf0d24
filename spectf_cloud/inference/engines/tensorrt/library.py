"""The tensorrt package, imported on demand."""

from __future__ import annotations

import logging
from functools import cache
from typing import Any

from spectf_cloud.errors import MissingExtraError

logger = logging.getLogger(__name__)

#: The first version with strongly typed networks; version 11 still has all that is called here.
MIN_VERSION = (10, 12)


def import_tensorrt() -> Any:
    """Import the tensorrt package. Raises `MissingExtraError` where it is missing, broken or too old."""
    try:
        import tensorrt
    except (ImportError, OSError, RuntimeError) as error:  # its libraries are loaded in several ways
        reason = " ".join(str(error).split())
        raise MissingExtraError(
            f"TensorRT is not installed ({reason}); pip install 'spectf-cloud[trt]' on a machine with an NVIDIA GPU"
        ) from error
    if version_of(tensorrt) < MIN_VERSION:
        needed = ".".join(map(str, MIN_VERSION))
        raise MissingExtraError(f"TensorRT {tensorrt.__version__} is too old; pip install 'tensorrt>={needed}'")
    return tensorrt


def version_of(tensorrt: Any) -> tuple[int, int]:
    """Return the major and minor version."""
    major, minor = str(tensorrt.__version__).split(".")[:2]
    return int(major), int(minor)


@cache
def log_of(tensorrt: Any) -> Any:
    """Return the logger that passes TensorRT's messages on: one for the process, as TensorRT's objects refer to it."""
    severity = tensorrt.ILogger.Severity
    levels = {
        severity.INTERNAL_ERROR: logging.ERROR,
        severity.ERROR: logging.ERROR,
        severity.WARNING: logging.INFO,  # mostly advice
        severity.INFO: logging.DEBUG,
    }

    class Log(tensorrt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            tensorrt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity in levels:
                logger.log(levels[severity], "TensorRT: %s", message)

    return Log()
