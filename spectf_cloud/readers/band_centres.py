"""Band centres, widths and bad bands as TIFFs note them: in tags of each band, of the file, or in the bands' names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spectf_cloud.errors import InputError
from spectf_cloud.readers.envi_header import items
from spectf_cloud.sensor import Sensor

_CENTRES = ("wavelength", "central_wavelength", "center_wavelength", "centre_wavelength")
_WIDTHS = ("fwhm", "bandwidth")
_UNITS = ("wavelength_units", "wavelength_unit")

_NUMBER = r"\d+(?:\.\d+)?"
# Band 12 (665.0 nm), or as GDAL says it: B8A, central wavelength 865 nm.
_LENGTH = re.compile(rf"(?<![\d.])({_NUMBER})\s*(nm|nanomet(?:er|re)s?|[uμµ]m|micromet(?:er|re)s?)\b", re.IGNORECASE)
# Wyvern names a band after its centre. No numbering of bands begins as high.
_NAMED_BY_CENTRE = re.compile(r"band[ _](\d{3,4})", re.IGNORECASE)
_LOWEST_CENTRE_NM = 350


@dataclass(frozen=True)
class _Noted:
    """Centres and widths of the bands as texts; widths only count where every band has one."""

    centres: Sequence[str]
    widths: Sequence[str] = ()
    units: str = ""


def sensor_of_tiff(path: Path, raster: Any, bands: Sequence[int]) -> Sensor | None:
    """Read the centres and widths of some bands, counted from 1, of an open TIFF; None where one has no centre.

    Raises `InputError` where they are not numbers, or no imager's.
    """
    noted = next((noted for noted in _places(raster, bands) if len(noted.centres) == len(bands)), None)
    if noted is None or len(bands) < 2:
        return None
    try:
        centres, widths = ([float(text) for text in texts] for texts in (noted.centres, noted.widths))
    except ValueError as error:
        raise InputError(f"{path}: the wavelengths in its metadata are not numbers ({error})") from error
    return Sensor.from_values(path.stem, centres, widths if len(widths) == len(bands) else None, noted.units, str(path))


def bad_bands_of_tiff(raster: Any) -> tuple[int, ...]:
    """Positions of the bands that their own tag ``bbl`` marks with 0."""
    marks = ({key.lower(): text for key, text in raster.tags(band).items()}.get("bbl", "1") for band in raster.indexes)
    return tuple(band for band, mark in enumerate(marks) if mark.strip() in ("0", "0.0"))


def _places(raster: Any, bands: Sequence[int]) -> Iterator[_Noted]:
    """Yield what each place says, the likeliest first."""
    tags = [{key.lower(): text for key, text in raster.tags(band).items()} for band in bands]
    units = next((tags[0][key] for key in _UNITS if key in tags[0]), "")
    yield _Noted(_column(tags, _CENTRES), _column(tags, _WIDTHS), units)
    tags = [raster.tags(band, ns="IMAGERY") for band in bands]
    yield _Noted(_column(tags, ("CENTRAL_WAVELENGTH_UM",)), _column(tags, ("FWHM_UM",)), "micrometers")
    header = {key.lower().replace(" ", "_"): text for key, text in raster.tags(ns="ENVI").items()}
    centres, widths = (items(header.get(key, "")) for key in ("wavelength", "fwhm"))
    if len(centres) == raster.count:
        chosen = [band - 1 for band in bands]
        widths = [widths[band] for band in chosen] if len(widths) == raster.count else []
        yield _Noted([centres[band] for band in chosen], widths, header.get("wavelength_units", ""))
    yield _of_names([raster.descriptions[band - 1] or "" for band in bands])


def _column(tags: Sequence[dict[str, str]], keys: Sequence[str]) -> list[str]:
    """Return the first of the keys that every band has, of each band; empty where none is."""
    key = next((key for key in keys if all(key in each for each in tags)), None)
    return [] if key is None else [each[key] for each in tags]


def _of_names(names: Sequence[str]) -> _Noted:
    lengths = [found[0] for name in names if len(found := _LENGTH.findall(name)) == 1]
    if len(lengths) == len(names) and len({unit.lower() for _, unit in lengths}) == 1:
        return _Noted([number for number, _ in lengths], units=lengths[0][1])
    centres = [named[1] for name in names if (named := _NAMED_BY_CENTRE.fullmatch(name.strip()))]
    if len(centres) == len(names) and all(int(centre) >= _LOWEST_CENTRE_NM for centre in centres):
        return _Noted(centres, units="nm")
    return _Noted(())
