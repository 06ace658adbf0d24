"""Which bands of a scene a network sees, in which order, as which reflectance, and where there is no data."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spectf_cloud.errors import ConfigError, InputError
from spectf_cloud.files.resources import PUBLISHED, bundled_irradiance, irradiance_file
from spectf_cloud.readers.bad_bands import empty_bands, in_words, sound_bands
from spectf_cloud.readers.irradiance import read_irradiance
from spectf_cloud.scene import Scene, missing
from spectf_cloud.sensor import PUBLISHED_DROP_NM, BandRanges, Sensor, parse_band_ranges
from spectf_cloud.toa import reflectance_per_radiance, resample_irradiance, toa_reflectance
from spectf_cloud.weights import RELEASES, Checkpoint, find_weights, irradiance_for, sha256_of

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]
Positions = NDArray[np.intp]

#: With fewer bands, a pixel with the same value in all of them may be a measurement.
MIN_BANDS_OF_FILL = 16
#: The published network needs 6 bands; with fewer than 32 it is less certain.
MIN_BANDS = 6
FEW_BANDS = 32
#: The note of tokens chosen again for a product whose irradiance is not on this machine.
OTHER_IRRADIANCE = "by the bundled irradiance, not the mask's"
# Tags of products that say how tokens were made.
_IRRADIANCE, _LEFT_OUT, _DROP = "SPECTF_IRRADIANCE_SHA256", "SPECTF_BANDS_LEFT_OUT", "SPECTF_DROP_NM"


@dataclass(frozen=True, eq=False, kw_only=True)
class Tokens:
    """Everything needed to turn pixels of a scene into what a network sees.

    Attributes
    ----------
    kept
        (bands,) positions among the file's bands, in the order of wavelength.
    wavelength_nm, fwhm_nm
        (bands,) float64 centres and full widths at half maximum of just these.
    factors
        (bands,) float64: pi d²/E0 for radiance, see `reflectance_per_radiance`; 1 for reflectance.
    nodata
        The file's own no-data value; −9999 means no data in every file.
    fills
        (fills, bands) spectra that mean no data, see `Cube.fill_spectra`.
    drop_nm
        The drop ranges they were chosen by, nm, ends included.
    irradiance
        The file of the solar irradiance; None for reflectance, and where only its numbers were given.
    left_out
        Bands outside the drop ranges that the network does not see either, in words; or empty.
    notes
        What to tell the user about the choice.
    """

    kept: Positions
    wavelength_nm: FloatArray
    fwhm_nm: FloatArray
    factors: FloatArray
    nodata: float
    fills: NDArray[np.floating]
    drop_nm: BandRanges = PUBLISHED_DROP_NM
    irradiance: Path | None = None
    left_out: str = ""
    notes: tuple[str, ...] = ()

    @classmethod
    def of_scene(
        cls,
        scene: Scene,
        irradiance: FloatArray | None = None,
        drop_nm: BandRanges = PUBLISHED_DROP_NM,
        *,
        trained: bool = False,
        min_bands: int = MIN_BANDS,
    ) -> Tokens:
        """Choose a scene's bands.

        irradiance
            (n, 2) nm and uW cm-2 nm-1; reflectance needs none.
        drop_nm
            Bands not shown to the network, nm, ends included; ``()`` keeps all that hold data.
        trained
            Whether the network learnt from the bands that producers mark bad: then sound ones are kept.
        min_bands
            How many the network needs.

        Raises `InputError` where fewer are left.
        """
        sensor, image = scene.sensor, scene.image
        kept = shown_bands(sensor, drop_nm)
        empty = empty_bands(scene, kept)
        kept = kept[~np.isin(kept, empty)]
        factors = _factors(scene, irradiance, kept)
        bad = _bad_bands(scene, kept, factors, trained) if drop_nm else empty[:0]
        good = ~np.isin(kept, bad)
        kept, factors = kept[good], factors[good]
        spectra = image.fill_spectra()[:, kept]
        return cls(
            kept=kept,
            wavelength_nm=sensor.wavelength_nm[kept],
            fwhm_nm=sensor.fwhm_nm[kept],
            factors=factors,
            nodata=image.nodata,
            fills=spectra if image.bands >= MIN_BANDS_OF_FILL else spectra[:0],
            drop_nm=drop_nm,
            left_out=in_words(sensor.wavelength_nm, np.concatenate([empty, bad])),
            notes=tuple(_notes(scene, len(kept), empty, bad, min_bands)),
        )

    @classmethod
    def for_weights(
        cls,
        scene: Scene,
        weights: Checkpoint,
        irradiance: str | Path | None = None,
        drop_nm: BandRanges = PUBLISHED_DROP_NM,
        *,
        min_bands: int = MIN_BANDS,
    ) -> Tokens:
        """Choose a scene's bands as weights need them, with the given irradiance or their own.

        Raises `InputError` where fewer than ``min_bands`` are left, the irradiance cannot be read, or a multispectral
        image would be masked by a network of imaging spectrometers: on Sentinel-2 it calls clear what is cloud.
        """
        if scene.quantity != "radiance" and min_bands >= MIN_BANDS and scene.sensor.bands < FEW_BANDS:
            raise InputError(
                f"{scene.image.path} has {scene.sensor.bands} bands; the network {weights.name} learnt from imaging "
                f"spectrometers and is wrong with fewer than {FEW_BANDS}; use a network for few bands"
            )
        path = irradiance_for(weights, irradiance) if scene.quantity == "radiance" else None
        return cls._of_file(scene, path, drop_nm, weights.published, min_bands)

    @classmethod
    def of_tags(cls, scene: Scene, tags: Mapping[str, str]) -> Tokens:
        """Choose a scene's bands as they were for a product with these tags, by default as for the bundled weights.

        `notes` hold `OTHER_IRRADIANCE` where the product's is not on this machine. Raises `InputError`.
        """
        trained = tags.get("SPECTF_WEIGHTS") in RELEASES
        if scene.quantity != "radiance":
            return cls._of_file(scene, None, _dropped(tags), trained, 1)
        wanted = tags.get(_IRRADIANCE, find_weights().irradiance_sha256)
        found = bundled_irradiance(wanted) if wanted else None
        tokens = cls._of_file(scene, irradiance_file(found or PUBLISHED), _dropped(tags), trained, 1)
        return replace(tokens, notes=(*tokens.notes, OTHER_IRRADIANCE)) if wanted and not found else tokens

    @classmethod
    def _of_file(
        cls, scene: Scene, irradiance: Path | None, drop_nm: BandRanges, trained: bool, min_bands: int
    ) -> Tokens:
        sunlight = None if irradiance is None else read_irradiance(irradiance)
        tokens = cls.of_scene(scene, sunlight, drop_nm, trained=trained, min_bands=min_bands)
        return replace(tokens, irradiance=irradiance)

    @property
    def tags(self) -> dict[str, str]:
        """Return the tags by which products record the choice; `of_tags` reads them."""
        tags = {} if self.irradiance is None else {_IRRADIANCE: sha256_of(self.irradiance)}
        if self.left_out:
            tags[_LEFT_OUT] = self.left_out
        if self.drop_nm != PUBLISHED_DROP_NM:
            tags[_DROP] = json.dumps(self.drop_nm)
        return tags

    def nearest(self, wanted_nm: ArrayLike) -> Positions:
        """Return the position (n,) of the token nearest to each wanted wavelength (n,), nm."""
        wanted = np.asarray(wanted_nm, np.float64)[:, None]
        positions: Positions = np.abs(self.wavelength_nm - wanted).argmin(axis=1)
        return positions

    def only(self, chosen: Positions) -> Tokens:
        """Return the tokens at these positions."""
        return replace(
            self,
            kept=self.kept[chosen],
            wavelength_nm=self.wavelength_nm[chosen],
            fwhm_nm=self.fwhm_nm[chosen],
            factors=self.factors[chosen],
            fills=self.fills[:, chosen],
        )

    def reflectance(self, values: NDArray[np.floating], incidence_deg: FloatArray) -> tuple[BoolArray, Float32Array]:
        """Return which pixels can be masked, and the reflectance of just those.

        values: (n, bands of the file) as read; incidence_deg: (n,) from `Scene.read_incidence_deg`, NaN where
        unusable. Returns (n,) bool and (usable, bands) float32. A pixel's result depends on no other pixel.
        """
        usable = np.isfinite(incidence_deg) & ~self._filled(values)
        toa = np.empty((len(values), len(self.kept)), np.float32)
        with np.errstate(invalid="ignore", over="ignore"):
            for source, target in self._runs:
                part = values[:, source]
                usable &= ~missing(part, self.nodata).any(axis=1)
                toa_reflectance(part, self.factors[target], incidence_deg, out=toa[:, target])
        return usable, toa if usable.all() else toa[usable]

    def read_line(self, scene: Scene, line: int, step: int = 1) -> Float32Array:
        """Read the reflectance of a line's every ``step``-th pixel: (pixels, bands) float32, NaN without data."""
        values = scene.image.read(line, line + 1, self.kept)[0, ::step]
        as_read = replace(self, kept=np.arange(len(self.kept)))
        usable, made = as_read.reflectance(values, scene.read_incidence_deg(line, line + 1)[0, ::step])
        toa = np.full(values.shape, np.nan, np.float32)
        toa[usable] = made
        return toa

    def _filled(self, values: NDArray[np.floating]) -> BoolArray:
        """Return which pixels (n,) hold the same fill value in every band; the first band rules most of them out."""
        filled = np.zeros(len(values), bool)
        for spectrum in self.fills:
            rows = np.flatnonzero(values[:, self.kept[0]] == spectrum[0])
            filled[rows] |= (values[rows][:, self.kept] == spectrum).all(axis=1)
        return filled

    @cached_property
    def _runs(self) -> tuple[tuple[slice, slice], ...]:
        """Return neighbouring kept bands as slices of the file's bands and of the kept ones: slices copy nothing."""
        ends = np.flatnonzero(np.diff(self.kept) != 1) + 1
        targets = zip([0, *ends.tolist()], [*ends.tolist(), len(self.kept)], strict=True)
        return tuple((slice(int(self.kept[a]), int(self.kept[b - 1]) + 1), slice(a, b)) for a, b in targets)


def shown_bands(sensor: Sensor, drop_nm: BandRanges = PUBLISHED_DROP_NM) -> Positions:
    """Return the positions (bands,) of the bands outside all drop ranges, in the order of wavelength.

    So no result, and no engine's identity, depends on the order in the file. Raises `InputError` where none is left.

    >>> len(shown_bands(Sensor.emit()))
    268
    """
    kept = np.flatnonzero(sensor.kept(drop_nm))
    return kept[np.argsort(sensor.wavelength_nm[kept], kind="stable")]


def _dropped(tags: Mapping[str, str]) -> BandRanges:
    """Return the drop ranges that a product records. Raises `InputError`."""
    text = tags.get(_DROP)
    if text is None:
        return PUBLISHED_DROP_NM
    try:
        return parse_band_ranges(json.loads(text), _DROP)
    except (ValueError, ConfigError) as error:
        raise InputError(f"the tag {_DROP} is {text!r}; a list of [low, high] pairs in nm is needed") from error


def _factors(scene: Scene, irradiance: FloatArray | None, bands: Positions) -> FloatArray:
    if scene.quantity != "radiance":
        return np.ones(len(bands))
    if irradiance is None:
        raise InputError(f"{scene.image.path} holds radiance, for which a solar irradiance is needed; give one")
    solar = resample_irradiance(irradiance, scene.sensor.wavelength_nm[bands], scene.sensor.fwhm_nm[bands])
    return reflectance_per_radiance(solar, scene.earth_sun_au)


def _bad_bands(scene: Scene, kept: Positions, factors: FloatArray, trained: bool) -> Positions:
    marked = kept[np.isin(kept, scene.image.marked_bad)]
    # EMIT marks the deepest water bands, which show high cloud best, and every network so far learnt from them.
    if marked.size and (trained or scene.sensor.is_emit()):
        return marked[~np.isin(marked, sound_bands(scene, marked, kept, factors))]
    return marked


def _notes(scene: Scene, kept: int, empty: Positions, bad: Positions, min_bands: int) -> Iterator[str]:
    """Yield what is left out. Raises `InputError` where too few bands are left."""
    path, centre_nm = scene.image.path, scene.sensor.wavelength_nm
    if kept < min_bands:
        raise InputError(
            f"{path}: only {kept} of {scene.sensor.bands} bands are left, {len(empty)} hold no data and {len(bad)} are "
            f"marked bad; at least {min_bands} are needed (--keep-bands uses bands that are marked bad or dropped)"
        )
    if scene.facts is not None:
        yield from (f"{path}: {note.removeprefix(f'{path}: ')}" for note in scene.facts.notes)
    if empty.size:
        yield f"{path}: {len(empty)} bands hold no data in any pixel and are left out: {in_words(centre_nm, empty)}"
    if bad.size:
        words = in_words(centre_nm, bad)
        yield f"{path}: {len(bad)} bands are marked bad (bbl) and left out: {words}; --keep-bands uses them"
    if kept < FEW_BANDS and min_bands >= MIN_BANDS:  # a network that needs fewer was made for few
        yield f"{path}: only {kept} bands are used; with fewer than {FEW_BANDS} a mask is less certain"
