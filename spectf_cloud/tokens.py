"""Which bands of a scene a network sees, in which order, as which reflectance, and where there is no data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.errors import InputError
from spectf_cloud.readers.bad_bands import empty_bands, in_words, sound_bands
from spectf_cloud.scene import Scene, missing
from spectf_cloud.sensor import PUBLISHED_DROP_NM, BandRanges, Sensor
from spectf_cloud.toa import reflectance_per_radiance, resample_irradiance, toa_reflectance

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]
Positions = NDArray[np.intp]

#: With fewer bands a pixel of one value throughout may be a measurement.
MIN_BANDS_OF_FILL = 16
_MIN_BANDS, _FEW_BANDS = 6, 32


@dataclass(frozen=True, eq=False)
class Tokens:
    """Everything needed to turn pixels of a radiance file into what a network sees.

    Attributes
    ----------
    kept
        (bands,) positions among the file's bands, in the order of wavelength.
    factors
        (bands,) float64 pi d²/E0, see `reflectance_per_radiance`.
    nodata
        The file's own no-data value; −9999 is none in any file.
    fills
        (fills, bands) spectra that are no measurement, see `Cube.fill_spectra`.
    left_out
        Bands that the network does not see though no drop range names them, in words; empty where there are none.
    notes
        What a user should be told of the choice.
    """

    kept: Positions
    factors: FloatArray
    nodata: float
    fills: NDArray[np.floating]
    left_out: str = ""
    notes: tuple[str, ...] = ()

    @classmethod
    def of_scene(
        cls, scene: Scene, irradiance: FloatArray, drop_nm: BandRanges = PUBLISHED_DROP_NM, *, trained: bool = False
    ) -> Tokens:
        """Choose a scene's bands.

        irradiance
            (n, 2) nm and uW cm-2 nm-1.
        drop_nm
            Bands not shown to the network, nm, ends included; ``()`` keeps all that hold data.
        trained
            Whether the network learnt from just the bands that producers mark bad: then sound ones are kept.

        Raises `InputError` where fewer than six bands are left.
        """
        centre_nm = scene.sensor.wavelength_nm
        kept = shown_bands(scene.sensor, drop_nm)
        empty = empty_bands(scene, kept)
        kept = kept[~np.isin(kept, empty)]
        factors = _factors(scene, irradiance, kept)
        bad = _bad_bands(scene, kept, factors, trained) if drop_nm else empty[:0]
        good = ~np.isin(kept, bad)
        kept, factors = kept[good], factors[good]
        spectra = scene.radiance.fill_spectra()[:, kept]
        return cls(
            kept=kept,
            factors=factors,
            nodata=scene.radiance.nodata,
            fills=spectra if scene.radiance.bands >= MIN_BANDS_OF_FILL else spectra[:0],
            left_out=in_words(centre_nm, np.concatenate([empty, bad])),
            notes=tuple(_notes(scene, len(kept), empty, bad)),
        )

    def reflectance(self, radiance: NDArray[np.floating], sun_zenith_deg: FloatArray) -> tuple[BoolArray, Float32Array]:
        """Which pixels can be masked, and the TOA reflectance of just those.

        radiance: (n, bands of the file); sun_zenith_deg: (n,), NaN where unusable. Returns (n,) bool and
        (usable, bands) float32. No pixel's numbers depend on its company.
        """
        usable = np.isfinite(sun_zenith_deg) & ~self._filled(radiance)
        toa = np.empty((len(radiance), len(self.kept)), np.float32)
        with np.errstate(invalid="ignore", over="ignore"):
            for source, target in self._runs:
                values = radiance[:, source]
                usable &= ~missing(values, self.nodata).any(axis=1)
                toa_reflectance(values, self.factors[target], sun_zenith_deg, out=toa[:, target])
        return usable, toa if usable.all() else toa[usable]

    def _filled(self, radiance: NDArray[np.floating]) -> BoolArray:
        """Which pixels (n,) hold one fill value in every band: few pass the look at the first band."""
        filled = np.zeros(len(radiance), bool)
        for spectrum in self.fills:
            rows = np.flatnonzero(radiance[:, self.kept[0]] == spectrum[0])
            filled[rows] |= (radiance[rows][:, self.kept] == spectrum).all(axis=1)
        return filled

    @cached_property
    def _runs(self) -> tuple[tuple[slice, slice], ...]:
        """Neighbouring kept bands as slices of the file's bands and of the kept ones: slices copy nothing."""
        ends = np.flatnonzero(np.diff(self.kept) != 1) + 1
        targets = zip([0, *ends.tolist()], [*ends.tolist(), len(self.kept)], strict=True)
        return tuple((slice(int(self.kept[a]), int(self.kept[b - 1]) + 1), slice(a, b)) for a, b in targets)


def shown_bands(sensor: Sensor, drop_nm: BandRanges = PUBLISHED_DROP_NM) -> Positions:
    """(bands,) positions of the bands that lie in no drop range, in the order of wavelength.

    So no result, and no engine's identity, depends on the order in the file. Raises `InputError` where none is left.
    """
    kept = np.flatnonzero(sensor.kept(drop_nm))
    return kept[np.argsort(sensor.wavelength_nm[kept], kind="stable")]


def _factors(scene: Scene, irradiance: FloatArray, bands: Positions) -> FloatArray:
    solar = resample_irradiance(irradiance, scene.sensor.wavelength_nm[bands], scene.sensor.fwhm_nm[bands])
    return reflectance_per_radiance(solar, scene.earth_sun_au)


def _bad_bands(scene: Scene, kept: Positions, factors: FloatArray, trained: bool) -> Positions:
    """Which of the kept bands the file marks bad and the network does not see."""
    marked = kept[np.isin(kept, scene.radiance.marked_bad)]
    # EMIT marks the deepest water bands, which say most about high cloud, and every network so far learnt from them.
    if marked.size and (trained or scene.sensor.is_emit()):
        return marked[~np.isin(marked, sound_bands(scene, marked, kept, factors))]
    return marked


def _notes(scene: Scene, kept: int, empty: Positions, bad: Positions) -> Iterator[str]:
    """What is left out, and whether enough is left. Raises `InputError`."""
    path, centre_nm = scene.radiance.path, scene.sensor.wavelength_nm
    if kept < _MIN_BANDS:
        raise InputError(
            f"{path}: only {kept} of {scene.sensor.bands} bands are left, {len(empty)} hold no data and {len(bad)} are "
            f"marked bad; at least {_MIN_BANDS} are needed (--keep-bands uses bands that are marked bad or dropped)"
        )
    if empty.size:
        yield f"{path}: {len(empty)} bands hold no data in any pixel and are left out: {in_words(centre_nm, empty)}"
    if bad.size:
        words = in_words(centre_nm, bad)
        yield f"{path}: {len(bad)} bands are marked bad (bbl) and left out: {words}; --keep-bands uses them"
    if kept < _FEW_BANDS:
        yield f"{path}: only {kept} bands are used; with fewer than {_FEW_BANDS} a mask is less certain"
