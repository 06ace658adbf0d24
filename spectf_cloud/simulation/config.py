"""What to simulate."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, get_args

from spectf_cloud.errors import UsageError
from spectf_cloud.files.resources import irradiance_file

#: Size of a granule as delivered.
GRANULE_LINES, GRANULE_SAMPLES = 1280, 1242

#: Size of EMIT's pixels, m.
EMIT_PIXEL_M = 60.0
MIN_PIXEL_M = 0.5
#: Of a scene on a map, which is flat and in one zone.
MAX_EXTENT_KM = 400.0

Format = Literal["netcdf", "envi", "both", "tif"]
Dtype = Literal["float32", "uint16"]


@dataclass(frozen=True)
class SimulationConfig:
    """What to simulate.

    Attributes
    ----------
    lines, samples
        Size, by default that of a granule; with ``like`` the size is that of the file.
    seed
        Everything random follows from it.
    preset
        Kind of scene, see `spectf_cloud.simulation.presets.PRESETS`.
    start
        Time of the first line, with its zone; drawn from the seed by default, with ``like`` that of the file.
    format
        ``netcdf``, ``envi`` or ``both`` of an EMIT granule, or ``tif``: TOA reflectance of any sensor on a map.
    sensor
        Of a ``tif``: the name of a sensor, or what else `spectf_cloud.sensors.find_sensor` takes; EMIT by default.
    pixel_m
        Of a ``tif``: size of its pixels, 60 m by default.
    dtype
        Of a ``tif``: ``float32``, or ``uint16`` with a scale of 0.0001.
    compressed
        netCDF in compressed chunks instead of contiguous as delivered.
    like
        An EMIT OBS netCDF whose geometry, location and GLT to use.
    surfaces
        A library of surface reflectance to draw the land from (ENVI spectral library or CSV).
    irradiance
        Solar irradiance: ``published`` (default), ``astm-g173``, or .npy (n, 2) nm, uW cm-2 nm-1.
    workers
        Threads; the number changes no byte of the output.
    significant_bits
        Bits of the radiance's mantissa to keep (1–23), for smaller compressed files; all by default.
    """

    lines: int | None = None
    samples: int | None = None
    seed: int = 0
    preset: str = "mixed"
    start: datetime | None = None
    format: Format = "netcdf"
    compressed: bool = False
    like: Path | None = None
    surfaces: Path | None = None
    irradiance: Path | None = None
    workers: int = 1
    significant_bits: int | None = None
    sensor: Any = None
    pixel_m: float | None = None
    dtype: Dtype = "float32"

    def __post_init__(self) -> None:
        if min(self.shape) < 8:
            raise UsageError(f"a scene of {self.shape[0]} x {self.shape[1]} is too small; make it 8 x 8 or more")
        if self.seed < 0:
            raise UsageError(f"the seed must be 0 or more, not {self.seed}")
        if self.workers < 1:
            raise UsageError(f"workers must be 1 or more, not {self.workers}")
        if self.format not in get_args(Format):
            raise UsageError(f"format must be one of {', '.join(get_args(Format))}, not {self.format!r}")
        if self.significant_bits is not None and not 1 <= self.significant_bits <= 23:
            raise UsageError(f"significant bits must lie within 1–23, not {self.significant_bits}")
        if self.start is not None and self.start.tzinfo is None:
            raise UsageError("the start time needs a zone, such as 2024-07-01T10:30:00Z")
        if self.compressed and self.format == "envi":
            raise UsageError("ENVI files are not compressed; leave out --compressed, or choose --format netcdf or both")
        if self.dtype not in get_args(Dtype):
            raise UsageError(f"dtype must be one of {', '.join(get_args(Dtype))}, not {self.dtype!r}")
        self._check_map()

    def _check_map(self) -> None:
        """Refuse options that only a map has, or only a granule."""
        on_map = {"--sensor": self.sensor, "--pixel-size": self.pixel_m, "--dtype": self.dtype != "float32" or None}
        granule = {"--like": self.like, "--significant-bits": self.significant_bits, "--compressed": self.compressed}
        if self.format != "tif":
            if given := [option for option, value in on_map.items() if value is not None]:
                raise UsageError(f"{' and '.join(given)} cannot change an EMIT granule; add --format tif")
            return
        if given := [option for option, value in granule.items() if value]:
            raise UsageError(f"{' and '.join(given)} cannot be used with --format tif; leave out one of them")
        if not (self.map_pixel_m >= MIN_PIXEL_M and max(self.shape) * self.map_pixel_m <= 1000 * MAX_EXTENT_KM):
            raise UsageError(
                f"{self.shape[0]} x {self.shape[1]} pixels of {self.map_pixel_m:g} m cannot be simulated; pixels must "
                f"be {MIN_PIXEL_M:g} m or more and the scene at most {MAX_EXTENT_KM:g} km (--lines, --samples)"
            )

    @property
    def map_pixel_m(self) -> float:
        """Size of the pixels of a map, m."""
        return EMIT_PIXEL_M if self.pixel_m is None else self.pixel_m

    @property
    def shape(self) -> tuple[int, int]:
        """(lines, samples) of a scene that is not ``like`` another."""
        return (
            GRANULE_LINES if self.lines is None else self.lines,
            GRANULE_SAMPLES if self.samples is None else self.samples,
        )

    @property
    def inputs(self) -> tuple[Path, ...]:
        """Files that are read, if there are such: never written over."""
        described = Path(self.sensor) if isinstance(self.sensor, (str, Path)) else None
        irradiance = None if self.irradiance is None else irradiance_file(self.irradiance)
        return tuple(path for path in (self.like, self.surfaces, irradiance, described) if path is not None)

    def check_like(self, like: Path) -> None:
        """Refuse wishes that the geometry of ``like`` leaves no room for. Raises `UsageError`."""
        asked = {"--lines": self.lines, "--samples": self.samples, "--start": self.start}
        given = " and ".join(option for option, value in asked.items() if value is not None)
        if given:
            raise UsageError(f"--like takes size and time from {like}; leave out {given}, or leave out --like")


@dataclass(frozen=True)
class DatasetConfig:
    """What spectra to simulate.

    Attributes
    ----------
    scenes
        How many; their seeds are ``seed``, ``seed`` + 1, …
    spectra_per_scene
        Pixels drawn from each, as far as it has so many with a clear-cut label.
    presets
        Kinds of scenes, taken in turn.
    seed, lines, samples, surfaces, irradiance
        As in `SimulationConfig`. The irradiance makes the radiance and divides it again.
    """

    scenes: int = 20
    spectra_per_scene: int = 1000
    presets: tuple[str, ...] = ("mixed",)
    seed: int = 0
    lines: int = 160
    samples: int = 160
    surfaces: Path | None = None
    irradiance: Path | None = None

    def __post_init__(self) -> None:
        if self.scenes < 1 or self.spectra_per_scene < 1 or not self.presets:
            raise UsageError("a data set needs at least one scene, one spectrum in each, and one preset")

    def scene(self, number: int) -> SimulationConfig:
        """Configuration of one of the scenes, counted from 0."""
        return SimulationConfig(
            self.lines,
            self.samples,
            self.seed + number,
            self.presets[number % len(self.presets)],
            surfaces=self.surfaces,
            irradiance=self.irradiance,
        )
