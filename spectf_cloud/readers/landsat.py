"""Landsat 1–9 as the USGS delivers it: Level-1 as top-of-atmosphere reflectance, Level-2 as surface reflectance.

Level-1: (REFLECTANCE_MULT DN + REFLECTANCE_ADD) / cos of the sun's zenith angle, by the factors of the MTL file, which
hold the Earth–Sun distance already (Landsat 8-9 Collection 2 Level 1 Data Format Control Book, LSDS-1822).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from spectf_cloud.errors import InputError
from spectf_cloud.readers.band_stack import (
    SURFACE_NOTE,
    Band,
    check_resolution,
    cosine_of_elevation,
    holds,
    left_out_note,
    night_note,
    open_stack,
    reflectance_per_si_radiance,
)
from spectf_cloud.readers.delivery import Delivery, is_archive, open_delivery
from spectf_cloud.readers.mtl import Mtl, read_mtl
from spectf_cloud.readers.sensor_yaml import known_sensors
from spectf_cloud.readers.sun import distance_au
from spectf_cloud.scene import Facts, Scene

#: What sees reflected sunlight.
_SENSORS = ("OLI_TIRS", "OLI", "ETM", "TM", "MSS")
#: Groups where each kind of fact is found: those of Collection 2, then of Collection 1. A Level-2 file repeats names
#: in other groups, with other values.
_PRODUCT = ("PRODUCT_CONTENTS", "PRODUCT_METADATA", "METADATA_FILE_INFO")
_IMAGE = ("IMAGE_ATTRIBUTES", "PRODUCT_METADATA")
_GRID = ("PROJECTION_ATTRIBUTES", "PROJECTION_PARAMETERS")
_LEVEL1 = ("LEVEL1_RADIOMETRIC_RESCALING", "RADIOMETRIC_RESCALING")
_LEVEL2 = ("LEVEL2_SURFACE_REFLECTANCE_PARAMETERS",)
_SUN_FILE = "FILE_NAME_ANGLE_SOLAR_ZENITH_BAND_4"

_MTL = re.compile(r"(.*)_MTL\.(txt|json|xml)", re.IGNORECASE)
_BAND_FILE = re.compile(r"(L[CEMOT]0\d_.*?)_(?:SR_)?B\d{1,2}\.tif", re.IGNORECASE)


def is_landsat(path: Path) -> bool:
    """Whether a path is an MTL file, one of the bands beside it, or a folder or archive with an MTL file."""
    if path.is_dir() or is_archive(path):
        return holds(path, lambda delivery: bool(_mtl_names(delivery)))
    if band := _BAND_FILE.fullmatch(path.name):
        return any(path.with_name(f"{band[1]}_MTL.{form}").is_file() for form in ("txt", "json", "xml"))
    return path.is_file() and bool(_MTL.fullmatch(path.name))


def open_landsat(path: Path, resolution_m: float | None = None) -> Scene:
    """Open a Landsat scene without reading its pixels.

    path
        The folder or tar of a scene, its MTL file, or one of its bands.
    resolution_m
        None, or the pixel size of the scene itself.

    Returns reflectance (lines, samples, bands) in the order of wavelength, NaN where there is no data: of the top of
    the atmosphere for Level-1, of the surface for Level-2. Panchromatic and thermal bands are left out. Raises
    `InputError`.
    """
    delivery = open_delivery(path)
    name = _mtl_name(delivery, path)
    folder, _, file = name.rpartition("/")
    mtl = read_mtl(delivery.read(name), f"{delivery.path}: {name}")
    check_resolution("Landsat", mtl.number("GRID_CELL_SIZE_REFLECTIVE", _GRID) or 30.0, resolution_m)
    files = {held.lower(): held for held in delivery.names if held.rpartition("/")[0] == folder}
    beside = {key: files.get(f"{folder}/{text}".lstrip("/").lower()) for key, text in _file_names(mtl).items()}
    sun = None if _is_level2(mtl) else beside.get(_SUN_FILE)
    bands, notes = _bands(mtl, beside, sun is not None)
    cube = open_stack(
        delivery,
        bands,
        name=re.sub("_MTL$", "", file.rpartition(".")[0], flags=re.IGNORECASE),
        sensor=_sensor(mtl),
        dtypes=("uint16", "uint8"),
        fill=0,
        quantity="surface_reflectance" if _is_level2(mtl) else "toa_reflectance",
        facts=_facts(mtl, notes),
        metadata=(name,),
        sun=sun,
    )
    return Scene.of_reflectance(cube)


def _mtl_names(delivery: Delivery) -> list[str]:
    return [name for name in delivery.names if _MTL.fullmatch(PurePosixPath(name).name)]


def _mtl_name(delivery: Delivery, path: Path) -> str:
    """Return the MTL file to read: the one named, or any form of that of the only scene. Raises `InputError`."""
    names = _mtl_names(delivery)
    if path.name in names and path.is_file():
        return path.name
    if band := _BAND_FILE.fullmatch(path.name):
        names = [name for name in names if name.lower().startswith(f"{band[1]}_mtl.".lower())]
    scenes = {name.rpartition(".")[0].lower() for name in names}
    if not scenes:
        raise InputError(f"{delivery.path} has no Landsat metadata file (*_MTL.txt, .json or .xml); put it there")
    if len(scenes) > 1:
        raise InputError(f"{delivery.path} holds {len(scenes)} Landsat scenes; name the MTL file of one")
    return names[0]


def _file_names(mtl: Mtl) -> dict[str, str]:
    return {
        key: text
        for group in _PRODUCT
        for key, text in mtl.groups.get(group, {}).items()
        if key.startswith("FILE_NAME")
    }


def _is_level2(mtl: Mtl) -> bool:
    """Whether the main product is of Level 2; the same file describes the Level 1 it was made from."""
    level = _level(mtl)
    if not level.startswith(("L1", "L2")):
        raise InputError(f"{mtl.source}: the processing level {level[:40]!r} is not known; give Level-1 or Level-2")
    return level.startswith("L2")


def _level(mtl: Mtl) -> str:
    return mtl.find("PROCESSING_LEVEL", _PRODUCT) or mtl.text("DATA_TYPE", _PRODUCT[1:])


def _sensor(mtl: Mtl) -> str:
    """Return the name that the sensor has in sensors.yml. Raises `InputError`."""
    satellite, sensor = (mtl.text(key, _IMAGE) for key in ("SPACECRAFT_ID", "SENSOR_ID"))
    name = satellite.replace("_", "")
    name = f"{name}_{sensor}" if f"{name}_{sensor}" in known_sensors() else name
    if sensor not in _SENSORS or name not in known_sensors():
        raise InputError(f"{mtl.source}: {sensor[:40]} of {satellite[:40]} is not read; {', '.join(_SENSORS)} are")
    return name


def _bands(mtl: Mtl, beside: Mapping[str, str | None], per_pixel: bool) -> tuple[list[Band], list[str]]:
    """Return the bands that are there, and what to say of the others.

    beside
        Names within the delivery by their keys in the MTL file; None where a file is not there.
    per_pixel
        Whether a raster of the sun's angle divides the numbers later.
    """
    bands, left_out, scaled = [], [], []
    cosine = 1.0 if per_pixel or _is_level2(mtl) else cosine_of_elevation(_elevation(mtl))
    for name, (centre_nm, fwhm_nm) in known_sensors()[_sensor(mtl)].by_name.items():
        number = name[1:]
        key = f"FILE_NAME_BAND_{number}"
        if (file := beside.get(key)) is None:
            left_out += [name] if key in beside else []
            continue
        factors = _factors(mtl, "REFLECTANCE", number, _LEVEL2 if _is_level2(mtl) else _LEVEL1)
        if factors is None:
            factors = _by_radiance(mtl, number, centre_nm, fwhm_nm)
            scaled.append(name)
        bands.append(Band(name, file, centre_nm, fwhm_nm, factors[0] / cosine, factors[1] / cosine))
    if not bands:
        raise InputError(f"{mtl.source} names bands of which none is beside it; put the *_B*.TIF files there")
    notes = [left_out_note(left_out)] if left_out else []
    if scaled:
        notes.append(f"{', '.join(scaled)} without reflectance factors: made from radiance")
    return bands, notes


def _factors(mtl: Mtl, quantity: str, number: str, groups: tuple[str, ...]) -> tuple[float, float] | None:
    """Return what DN are multiplied by and what is added; None where the file has no such factors."""
    gain, bias = (mtl.number(f"{quantity}_{word}_BAND_{number}", groups) for word in ("MULT", "ADD"))
    if gain is None or bias is None:
        return None
    if gain <= 0:
        raise InputError(f"{mtl.source}: {quantity}_MULT_BAND_{number} is {gain:g}; it must be above zero")
    return gain, bias


def _by_radiance(mtl: Mtl, number: str, centre_nm: float, fwhm_nm: float) -> tuple[float, float]:
    """Return factors of reflectance from those of radiance, W m-2 sr-1 um-1. Raises `InputError`."""
    factors = None if _is_level2(mtl) else _factors(mtl, "RADIANCE", number, _LEVEL1)
    distance = mtl.number("EARTH_SUN_DISTANCE", _IMAGE)
    if distance is None and (acquired := _acquired(mtl)) is not None:
        distance = distance_au(acquired)
    if factors is None or distance is None:
        raise InputError(f"{mtl.source} has no factors that make reflectance of band {number}; is it complete?")
    per_radiance = reflectance_per_si_radiance(centre_nm, fwhm_nm, distance)
    return factors[0] * per_radiance, factors[1] * per_radiance


def _elevation(mtl: Mtl) -> float:
    """Return the sun's elevation at the centre of the scene, degrees; below zero at night. Raises `InputError`."""
    elevation = mtl.number("SUN_ELEVATION", _IMAGE)
    if elevation is None or not -90 <= elevation <= 90:
        raise InputError(f"{mtl.source}: SUN_ELEVATION is {elevation}, not an angle from -90 to 90; is it complete?")
    return elevation


def _acquired(mtl: Mtl) -> datetime | None:
    """Return when the centre of the scene was seen, UTC; None where the file does not say."""
    day, time = (mtl.find(key, _IMAGE) or "" for key in ("DATE_ACQUIRED", "SCENE_CENTER_TIME"))
    try:
        # Seven decimals are one more than a time has.
        return datetime.fromisoformat(f"{day}T{time.rstrip('Z')[:15]}").replace(tzinfo=UTC)
    except ValueError:
        return None


def _facts(mtl: Mtl, notes: list[str]) -> Facts:
    elevation, azimuth = _elevation(mtl), mtl.number("SUN_AZIMUTH", _IMAGE)
    if _is_level2(mtl):
        notes.append(SURFACE_NOTE)
    elif elevation <= 0:
        notes.append(night_note(elevation))
    if mtl.find("SENSOR_MODE_SLC", _IMAGE) == "OFF":
        notes.append("the scan line corrector was off: stripes without data")
    if mtl.find("NADIR_OFFNADIR", _IMAGE) == "OFFNADIR":
        notes.append(f"seen {abs(mtl.number('ROLL_ANGLE', _IMAGE) or 0):.1f} degrees off nadir")
    return Facts(
        product=mtl.find("LANDSAT_PRODUCT_ID", _PRODUCT) or "Landsat",
        level=_level(mtl),
        acquired=_acquired(mtl),
        sun_zenith_deg=90 - elevation,
        sun_azimuth_deg=None if azimuth is None else azimuth % 360,
        satellite=mtl.text("SPACECRAFT_ID", _IMAGE).replace("_", " ").title(),
        notes=tuple(notes),
    )
