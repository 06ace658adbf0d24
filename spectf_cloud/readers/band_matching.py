"""Which bands a raster holds: as it notes them itself, or matched with those of a named sensor."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.errors import InputError
from spectf_cloud.readers.band_centres import sensor_of_tiff
from spectf_cloud.readers.band_names import plain
from spectf_cloud.readers.raster import RasterCube
from spectf_cloud.scene import Cube
from spectf_cloud.sensor import Sensor

Positions = NDArray[np.intp]

#: How far a band centre that a file notes may be from that of the named sensor without a word, nm.
_MAX_APART_NM = 10.0


def bands_of(cube: Cube, given: Sensor | None) -> tuple[Sensor, Positions, list[str]]:
    """Sensor of the bands that are used, where they stand in the file, and notes."""
    """Find the bands of a raster that are used: their sensor, their positions in the file, and notes for the user.

    By the ``given`` sensor, else as the file notes them; an alpha band is none. Raises `InputError` where nothing says
    which bands they are.
    """
    spectral = _without_alpha(cube)
    own = cube.sensor if len(spectral) == cube.bands else None
    if own is None and isinstance(cube, RasterCube):
        own = sensor_of_tiff(cube.path, cube.raster, (spectral + 1).tolist())
    if given is not None:
        return _named(cube, given, spectral, own)
    if own is None:
        names = f" (named {_listed(cube.band_names)})" if any(cube.band_names) else ""
        raise InputError(
            f"{cube.path}: nothing says the centres of its {len(spectral)} bands{names}; name the sensor, for example "
            "--sensor sentinel2, or a YAML file of bands (spectf-cloud sensors list)"
        )
    return own, spectral, []


def _without_alpha(cube: Cube) -> Positions:
    if not isinstance(cube, RasterCube):
        return np.arange(cube.bands)
    return np.array([band for band, use in enumerate(cube.raster.colorinterp) if use.name != "alpha"], np.intp)


def _named(cube: Cube, sensor: Sensor, spectral: Positions, own: Sensor | None) -> tuple[Sensor, Positions, list[str]]:
    """Match the bands of a file with those of a named sensor: by their names, else by their order."""
    notes = list(getattr(sensor, "notes", ()))
    names = [_canonical(cube.band_names[band]) if cube.band_names else "" for band in spectral]
    wanted = [_canonical(name) for name in sensor.band_names]
    pairs = [(place, wanted.index(name)) for place, name in enumerate(names) if name and name in wanted]
    if pairs:
        ours, theirs = (np.array(column, np.intp) for column in zip(*pairs, strict=True))
        if len(set(theirs.tolist())) < len(theirs):
            raise InputError(
                f"{cube.path}: several bands are named as one of {sensor.name} ({_listed(cube.band_names)})"
            )
        left = [cube.band_names[band] for place, band in enumerate(spectral) if place not in ours]
        notes += [f"not bands of {sensor.name} and left out: {_listed(left)}"] if left else []
    else:
        ours, theirs = _in_order(cube, sensor, len(spectral))
        order = ", ".join(sensor.band_names) or f"{sensor.wavelength_nm[0]:g} nm first"
        notes.append(f"its bands are taken in the order of {sensor.name}: {order}")
    named = tuple(sensor.band_names[band] for band in theirs) if sensor.band_names else ()
    found = Sensor(sensor.name, sensor.wavelength_nm[theirs], sensor.fwhm_nm[theirs], named)
    if own is not None:
        apart_nm = float(np.abs(own.wavelength_nm[ours] - found.wavelength_nm).max())
        if apart_nm > _MAX_APART_NM:
            notes.append(f"the file's own band centres are up to {apart_nm:.0f} nm from those of {sensor.name}")
    return found, spectral[ours], notes


def _in_order(cube: Cube, sensor: Sensor, count: int) -> tuple[Positions, Positions]:
    everything = np.arange(sensor.bands)
    if count == sensor.bands:
        return everything, everything
    listed = np.array(getattr(sensor, "positions", ()), np.intp)
    if getattr(sensor, "notes", ()) and listed.size and listed.max() < count:  # its other bands were left out
        return listed, everything
    raise InputError(
        f"{cube.path} has {count} bands and {sensor.name} {sensor.bands}, and no names say which are which; name the "
        "bands in the file, or give a YAML file of just these bands as the sensor"
    )


def _canonical(name: str) -> str:
    """A band's name without what is spelled differently: B04 is B4.

    >>> _canonical("B04"), _canonical("Band 8A"), _canonical("NIR")
    ('b4', 'b8a', 'nir')
    """
    return re.sub(r"^b(?:and)?0*(?=\d)", "b", plain(name))


def _listed(names: Sequence[str]) -> str:
    few = ", ".join(name or "unnamed" for name in names[:6])
    return few + (", …" if len(names) > 6 else "")
