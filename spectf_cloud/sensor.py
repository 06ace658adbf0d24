"""Band centres and widths of a sensor, and which of its bands the model sees."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spectf_cloud.errors import ConfigError, InputError

FloatArray = NDArray[np.float64]
BandRanges = tuple[tuple[float, float], ...]

#: The published drop ranges, nm, both ends included: noisy blue, an order-sorting seam, the far end.
PUBLISHED_DROP_NM: BandRanges = ((0.0, 405.0), (1275.0, 1321.0), (2455.0, 9999.0))

#: In the singular and lower case; μ (Greek) also stands for µ (micro sign).
_NM_PER_UNIT = {
    "nm": 1.0,
    "nanometer": 1.0,
    "nanometre": 1.0,
    "um": 1000.0,
    "μm": 1000.0,
    "micron": 1000.0,
    "micrometer": 1000.0,
    "micrometre": 1000.0,
    "angstrom": 0.1,
    "ångström": 0.1,
    "å": 0.1,
    "mm": 1e6,
    "millimeter": 1e6,
    "millimetre": 1e6,
    "m": 1e9,
    "meter": 1e9,
    "metre": 1e9,
}
#: No imager's bands are all narrower, nm: widths below this are micrometres beside centres in nanometres.
_SMALLEST_WIDTH_NM = 0.1
#: Solar-reflective imagers lie between these, nm; a centre below the first without units must be in µm.
_LARGEST_MICROMETRE = 100.0
_LARGEST_NANOMETRE = 100_000.0

# EMIT's 285 centres run almost evenly from 381 to 2493 nm. Coefficients in x = (band - 142)/142, fitted to
# the calibration of 2025-03-24: centres within 0.1 nm, widths within 0.004 nm.
_EMIT_BANDS = 285
_EMIT_CENTRE_NM = (1439.302, 1057.703, -3.338, -0.865, 0.940, -0.850)
_EMIT_FWHM_NM = (8.610, 0.199)


@dataclass(frozen=True, eq=False)
class Sensor:
    """A sensor's bands: centres and full widths at half maximum.

    Attributes
    ----------
    name
        What to call it in reports.
    wavelength_nm, fwhm_nm
        (bands,) float64, nm, in the order of the data.
    band_names
        One a band, all different; empty where they have none.
    """

    name: str
    wavelength_nm: FloatArray
    fwhm_nm: FloatArray
    band_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.band_names and not len(set(self.band_names)) == len(self.band_names) == self.bands:
            twice = sorted({name for name in self.band_names if self.band_names.count(name) > 1})
            wrong = f"{twice[0]} twice" if twice else f"{len(self.band_names)} of {self.bands}"
            raise InputError(f"{self.name}: band names must be one a band and different, not {wrong}")
        if self.wavelength_nm.ndim != 1 or self.wavelength_nm.shape != self.fwhm_nm.shape:
            raise InputError(
                f"{self.name}: {self.wavelength_nm.size} band centres but {self.fwhm_nm.size} band widths; "
                "each band needs one of both"
            )
        if not (np.isfinite(self.wavelength_nm).all() and (self.wavelength_nm > 0).all()):
            raise InputError(f"{self.name}: band centres must be positive numbers of nanometres")
        if not (np.isfinite(self.fwhm_nm).all() and (self.fwhm_nm > 0).all()):
            raise InputError(f"{self.name}: band widths (FWHM) must be positive numbers of nanometres")
        if self.bands > 1 and self.fwhm_nm.max() > np.ptp(self.wavelength_nm):
            raise InputError(
                f"{self.name}: a band is {self.fwhm_nm.max():g} nm wide, more than the whole spectrum; "
                "are centres and widths in the same units?"
            )

        if self.bands > 0 and self.fwhm_nm.max() < _SMALLEST_WIDTH_NM:
            raise InputError(
                f"{self.name}: no band is wider than {self.fwhm_nm.max():g} nm; "
                "are centres and widths in the same units?"
            )

    def __repr__(self) -> str:
        low, high = self.wavelength_nm.min(), self.wavelength_nm.max()
        return f"Sensor({self.name!r}, {self.bands} bands, {low:.0f}–{high:.0f} nm)"

    @property
    def bands(self) -> int:
        """Number of bands."""
        return len(self.wavelength_nm)

    @classmethod
    def emit(cls) -> Sensor:
        """EMIT's nominal 285 bands; real granules carry their own calibration."""
        x = (np.arange(_EMIT_BANDS) - 142) / 142
        centre_nm, fwhm_nm = (np.polynomial.Polynomial(c)(x) for c in (_EMIT_CENTRE_NM, _EMIT_FWHM_NM))
        return cls("EMIT", centre_nm, fwhm_nm)

    @classmethod
    def from_values(
        cls, name: str, wavelength: ArrayLike, fwhm: ArrayLike | None, units: str | None, source: str
    ) -> Sensor:
        """Resolve units once: centres and widths as a file gives them become nanometres.

        Without widths, each band is taken to be as wide as the spacing to its neighbours. Without units,
        centres below 100 can only be micrometres. Raises `InputError` naming ``source``.
        """
        centres = np.asarray(wavelength, dtype=np.float64)
        if centres.size < 2:
            raise InputError(f"{source}: {centres.size} band centres; a spectrum needs at least two")
        factor = _nm_per_unit(units, centres, source)
        if np.nanmax(centres) * factor < _LARGEST_MICROMETRE or np.nanmin(centres) * factor > _LARGEST_NANOMETRE:
            other = "micrometers" if np.nanmax(centres) < _LARGEST_MICROMETRE else "nanometers"
            named = f"{centres[0]:g} to {centres[-1]:g} {units}"
            raise InputError(f"{source}: band centres of {named} are no imager's; say that they are {other}")
        widths = spacing(centres, source) if fwhm is None else np.asarray(fwhm, dtype=np.float64)
        try:
            return cls(name, centres * factor, widths * factor)
        except InputError as error:
            raise InputError(f"{source}: {error}") from error

    def is_emit(self) -> bool:
        """Whether every centre is one of EMIT's, to 1 nm: calibrations differ by less, other sensors by more."""
        nominal_nm = Sensor.emit().wavelength_nm
        nearest = np.abs(self.wavelength_nm[:, None] - nominal_nm).min(axis=1)
        return bool((nearest < 1.0).all())

    def kept(self, drop_nm: Iterable[tuple[float, float]] = PUBLISHED_DROP_NM) -> NDArray[np.bool_]:
        """Which bands lie in none of the ranges (nm, ends included): (bands,) bool.

        Overlapping ranges simply drop their union. Raises `InputError` when nothing is left.
        """
        kept = np.ones(self.bands, dtype=bool)
        for low, high in drop_nm:
            kept &= ~((self.wavelength_nm >= low) & (self.wavelength_nm <= high))
        if not kept.any():
            raise InputError(f"{self.name}: all {self.bands} bands fall in the dropped ranges; use --keep-bands")
        return kept


def parse_band_ranges(values: object, source: str) -> BandRanges:
    """A list of [low, high] pairs in nm, as YAML gives it, checked. Raises `ConfigError` naming ``source``."""
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise ConfigError(f"{source}: drop_band_ranges must be a list of [low, high] pairs in nm, not {values!r}")
    ranges = []
    for pair in values:
        if isinstance(pair, str):
            raise ConfigError(f"{source}: {pair!r} is not a pair [low, high] in nm")
        try:
            low, high = (float(bound) for bound in pair)
        except (TypeError, ValueError):
            raise ConfigError(f"{source}: {pair!r} is not a pair [low, high] in nm") from None
        if not low <= high:
            raise ConfigError(f"{source}: the range [{low:g}, {high:g}] nm is empty; write the lower end first")
        ranges.append((low, high))
    return tuple(ranges)


def spacing(centres: FloatArray, source: str) -> FloatArray:
    """Return the distance of each centre to its nearest different neighbours: (bands,), in the unit of the centres.

    Raises `InputError` naming ``source`` where all centres are one.
    """
    different, place = np.unique(centres, return_inverse=True)
    if len(different) < 2:
        raise InputError(
            f"{source}: all {len(centres)} band centres are {centres[0]:g}; a spectrum needs different ones"
        )
    widths: FloatArray = np.gradient(different)[place]
    return widths


def _nm_per_unit(units: str | None, centres: FloatArray, source: str) -> float:
    """Nanometres per unit, however it is spelled: nm, Nanometers, "Micrometers (µm)"."""
    name = unicodedata.normalize("NFKC", units or "").strip().lower()
    # A question mark or its like stands where a program could not write µ.
    if name in ("", "unknown", "?m", "\ufffdm"):
        return 1000.0 if np.nanmax(centres) < _LARGEST_MICROMETRE else 1.0
    words = (word for word in re.findall(r"[^\W\d_]+", name) if word not in ("wavelength", "in"))
    factors = {_NM_PER_UNIT.get(word.removesuffix("s"), 0.0) for word in words}
    if len(factors) == 1 and (factor := factors.pop()):
        return factor
    raise InputError(f"{source}: wavelength units {units!r} are not known; write nanometers or micrometers")
