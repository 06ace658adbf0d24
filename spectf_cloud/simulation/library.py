"""Reads a library of measured surface reflectance and sorts it into the classes of a scene.

ENVI spectral libraries and CSV tables are read. Classes are told by the spectrum alone, so any library will do.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.errors import InputError
from spectf_cloud.readers import envi
from spectf_cloud.sensor import Sensor

FloatArray = NDArray[np.float64]

#: Laboratory samples are brighter than landscapes: brighter ones than this at 865 nm are left out, but for snow.
BRIGHTEST = 0.6
_FIELD = re.compile(r"^([^=\n]+)=\s*(\{[^}]*\}|[^\n]*)", re.MULTILINE)
_DTYPES = {"1": "u1", "2": "i2", "3": "i4", "4": "f4", "5": "f8", "12": "u2"}


def read_library(path: Path, wavelength_nm: FloatArray) -> dict[str, FloatArray]:
    """Spectra per surface class, (spectra, bands) reflectance in 0–1 at the given wavelengths.

    Raises `InputError` when the file is no library, does not cover 400–2400 nm, or no spectrum in it can be
    told as a surface.
    """
    nm, spectra = _read_csv(path) if path.suffix.lower() == ".csv" else _read_envi(path)
    order = np.argsort(nm, kind="stable")
    nm, spectra = nm[order], spectra[:, order]
    if nm[0] > 400 or nm[-1] < 2400:
        raise InputError(f"{path}: covers {nm[0]:g}–{nm[-1]:g} nm; a surface library must cover 400–2400 nm")
    sound = np.isfinite(spectra).all(axis=1) & (spectra.min(axis=1) > -0.02) & (spectra.max(axis=1) < 1.2)
    classes: dict[str, list[FloatArray]] = {}
    told_at = Sensor.emit().wavelength_nm  # the bands asked for may be few
    for row in spectra[sound]:
        name = classify(np.interp(told_at, nm, row), told_at)
        if name:
            classes.setdefault(name, []).append(np.clip(np.interp(wavelength_nm, nm, row), 0.001, 1.0))
    if not classes:
        raise InputError(f"{path}: none of its {len(spectra)} spectra looks like a surface in reflectance 0–1")
    return {name: np.array(rows) for name, rows in classes.items()}


def classify(reflectance: FloatArray, wavelength_nm: FloatArray) -> str | None:
    """Surface class of one spectrum, by well-known ratios; None for what no landscape shows."""
    blue, green, red, nir, swir1, swir2 = (
        np.interp(nm, wavelength_nm, reflectance) for nm in (480, 560, 660, 865, 1640, 2200)
    )
    if nir > 0.5 and swir1 / nir < 0.12:
        return "snow"
    if nir > BRIGHTEST:
        return None
    if nir < 0.1 and swir1 < 0.05:
        return "turbid water" if red > 0.02 else "water"
    vegetation_index = (nir - red) / (nir + red)
    if vegetation_index > 0.55:
        return "vegetation"
    # Cellulose bends the spectrum at 2100 nm; dry plants are the rest of the rising ones with a red edge.
    if vegetation_index > 0.3 and swir2 < swir1:
        return "dry vegetation"
    if max(blue, green, red, nir, swir1) - min(blue, green, red, nir, swir1) < 0.08:
        return "urban"
    return "sand" if nir > 0.33 else "soil"


def _read_csv(path: Path) -> tuple[FloatArray, FloatArray]:
    """Wavelength (nm or µm) in the first column, a spectrum in each further one; a header line is skipped."""
    try:
        lines = path.read_text().splitlines()
        skip = 0 if _is_number(lines[0].split(",")[0]) else 1
        table = np.loadtxt(lines, delimiter=",", skiprows=skip, ndmin=2)
        nm = Sensor.from_values("library", table[:, 0].tolist(), None, None, str(path)).wavelength_nm
    except (OSError, UnicodeDecodeError, ValueError, IndexError) as error:
        raise InputError(f"{path}: not a CSV of wavelength and reflectance columns ({error})") from error
    if table.shape[1] < 2:
        raise InputError(f"{path}: only wavelengths; add a column of reflectance for each surface")
    return nm, table[:, 1:].T


def _read_envi(path: Path) -> tuple[FloatArray, FloatArray]:
    """An ENVI spectral library (a line per spectrum, a sample per wavelength) or an ENVI image of reflectance."""
    header, data = _envi_pair(path)
    text = header.read_text(errors="replace")
    fields = {key.strip().lower(): value.strip(" {}\n") for key, value in _FIELD.findall(text)}
    if fields.get("bands", "1") != "1":
        return _read_image(path)
    try:
        shape = int(fields["lines"]), int(fields["samples"])
        order = ">" if fields.get("byte order", "0") == "1" else "<"
        offset = int(fields.get("header offset", 0))
        raw = np.fromfile(data, order + _DTYPES[fields["data type"]], offset=offset)
        spectra = raw[: shape[0] * shape[1]].reshape(shape).astype(np.float64)
        centres = [float(value) for value in fields["wavelength"].split(",")]
    except (OSError, KeyError, ValueError) as error:
        raise InputError(f"{path}: not an ENVI spectral library ({type(error).__name__}: {error})") from error
    if len(centres) != shape[1]:
        raise InputError(f"{path}: {len(centres)} wavelengths for {shape[1]} samples; not a spectral library")
    units = fields.get("wavelength units")
    nm = Sensor.from_values("library", centres, None, units, str(path)).wavelength_nm
    return nm, spectra / float(fields.get("reflectance scale factor", 1.0))


def _read_image(path: Path) -> tuple[FloatArray, FloatArray]:
    cube = envi.open_cube(path)
    if cube.sensor is None:
        raise InputError(f"{path}: the header has no wavelengths; a surface library needs them")
    return cube.sensor.wavelength_nm, cube.read(0, cube.lines).reshape(-1, cube.bands).astype(np.float64)


def _envi_pair(path: Path) -> tuple[Path, Path]:
    """Header and data file, whichever of them is given."""
    if path.suffix.lower() == ".hdr":
        bare = path.with_suffix("")
        candidates = [bare, bare.with_suffix(".sli"), bare.with_suffix(".img")]
        header, data = path, next((name for name in candidates if name.is_file()), bare)
    else:
        beside = [path.with_name(path.name + ".hdr"), path.with_suffix(".hdr")]
        header, data = next((name for name in beside if name.is_file()), beside[0]), path
    for name in (header, data):
        if not name.is_file():
            raise InputError(f"{name} does not exist; a spectral library is a .csv, or ENVI data with its .hdr")
    return header, data


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
