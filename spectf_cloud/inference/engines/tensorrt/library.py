"""The tensorrt package, imported only when it is asked for."""

from __future__ import annotations

import logging
from functools import cache
from typing import Any

from spectf_cloud.errors import MissingExtraError

logger = logging.getLogger(__name__)

#: From here on a network can be strongly typed, and nothing we call is gone in 11.
OLDEST = (10, 12)


def import_tensorrt() -> Any:
    """The tensorrt package. Raises `MissingExtraError` where it is missing, broken or too old."""
    try:
        import tensorrt
    except (ImportError, OSError, RuntimeError) as error:  # its libraries are loaded in several ways
        reason = " ".join(str(error).split())
        raise MissingExtraError(
            f"TensorRT is not here ({reason}); pip install 'spectf-cloud[trt]' on a machine with an NVIDIA GPU"
        ) from error
    if version_of(tensorrt) < OLDEST:
        needed = ".".join(map(str, OLDEST))
        raise MissingExtraError(f"TensorRT {tensorrt.__version__} is too old; pip install 'tensorrt>={needed}'")
    return tensorrt


def version_of(tensorrt: Any) -> tuple[int, int]:
    """Major and minor version."""
    major, minor = str(tensorrt.__version__).split(".")[:2]
    return int(major), int(minor)


@cache
def log_of(tensorrt: Any) -> Any:
    """What TensorRT says, in our log: one for the whole process, because everything made with it refers to it."""
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
