"""The one family of errors that spectf-cloud raises on purpose.

Each message names the file or option, what is wrong, and what to do. The command line returns its `exit_code`.
"""

from __future__ import annotations

#: Exit code of an interrupted command.
EXIT_INTERRUPTED = 130


class SpectfError(Exception):
    """Anything spectf-cloud refuses or fails to do; exit code 1."""

    exit_code = 1


class UsageError(SpectfError):
    """Arguments that contradict each other or make no sense; exit code 2."""

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
    """An output that cannot be written, or already exists; exit code 1."""


class MissingExtraError(SpectfError):
    """An optional package or device that is missing; exit code 4."""

    exit_code = 4


class EngineError(SpectfError):
    """A TensorRT engine that cannot be built, or does not belong to this machine or network; exit code 4."""

    exit_code = 4
