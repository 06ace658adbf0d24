"""The one family of errors that spectf-cloud raises on purpose.

Each message names the file or option, says what was wrong, and the way out. `exit_code` is what the
command line returns for it.
"""

from __future__ import annotations

#: What the command line returns when it was interrupted.
EXIT_INTERRUPTED = 130


class SpectfError(Exception):
    """Anything spectf-cloud refuses or fails to do; exit code 1."""

    exit_code = 1


class UsageError(SpectfError):
    """Arguments that contradict each other or cannot be meant; exit code 2."""

    exit_code = 2


class ConfigError(UsageError):
    """A configuration file or value that cannot be used; exit code 2."""


class InputError(SpectfError):
    """An input file that is missing, unreadable, or not what it should be; exit code 3."""

    exit_code = 3


class WeightsError(InputError):
    """Weights that are missing, altered, or do not fit the architecture; exit code 3."""


class ModelError(SpectfError):
    """An architecture or a model input that makes no sense; exit code 2."""

    exit_code = 2


class OutputError(SpectfError):
    """An output that cannot be written, or exists already; exit code 1."""


class MissingExtraError(SpectfError):
    """An optional package or device that is not there; exit code 4."""

    exit_code = 4


class EngineError(SpectfError):
    """A TensorRT engine that cannot be built, or does not belong to this machine or network; exit code 4."""

    exit_code = 4
