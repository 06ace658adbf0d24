"""PlanetScope scenes of 4 and 8 bands: AnalyticMS as top-of-atmosphere reflectance, AnalyticMS_SR of the surface.

AnalyticMS: DN times the reflectanceCoefficient of the band in the XML, which holds the sun's angle and distance
already; without one, pi L d² / (E0 cos) of the radiance DN times radiometricScaleFactor, W m-2 sr-1 um-1. _SR: DN over
10000 (Planet Imagery Product Specifications).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from xml.etree.ElementTree import Element

from spectf_cloud.errors import InputError
from spectf_cloud.readers.band_stack import (
    SURFACE_NOTE,
    Band,
    check_resolution,
    cosine_of_elevation,
    holds,
    night_note,
    open_stack,
    open_tiff,
    reflectance_per_si_radiance,
)
from spectf_cloud.readers.delivery import Delivery, is_archive, open_delivery
from spectf_cloud.readers.metadata_xml import number_of, read_xml, text_of
from spectf_cloud.readers.sensor_yaml import known_sensors
from spectf_cloud.readers.sun import distance_au
from spectf_cloud.scene import Facts, Scene

_SURFACE_SCALE = 1e-4
#: Names in sensors.yml by instrument and number of bands; the last also of what an old file does not name.
_SENSORS = {
    ("PS2.SD", 4): "PLANETSCOPE4_DOVE_R",
    ("PSB.SD", 4): "PLANETSCOPE4_SUPERDOVE",
    ("PSB.SD", 8): "PLANETSCOPE8",
    ("PS0", 4): "PLANETSCOPE4",
    ("PS1", 4): "PLANETSCOPE4",
    ("PS2", 4): "PLANETSCOPE4",
}
# 20170831_172754_101c_3B_AnalyticMS.tif, 20210815_172754_31_2459_3B_AnalyticMS_8b_SR_harmonized_clip.tif
_SCENE = r"(\d{8}_\d{6}_\w+_(?:1B|3B)_AnalyticMS(?:_8b)?)"
_IMAGE = re.compile(rf"{_SCENE}(_SR)?(_harmonized)?(_clip)?\.tif", re.IGNORECASE)
_METADATA = re.compile(rf"{_SCENE}_metadata(_clip)?\.xml", re.IGNORECASE)


@dataclass(frozen=True)
class _Image:
    """An image, and the metadata file that describes it, by their names within the delivery."""

    name: str
    scene: str
    surface: bool
    harmonized: bool
    metadata: str


def is_planetscope(path: Path) -> bool:
    """Whether a path is a PlanetScope image with its XML beside it, that XML, or a folder or archive with both."""
    named = _IMAGE.fullmatch(path.name) or _METADATA.fullmatch(path.name)
    if not (path.is_dir() or named or is_archive(path)):
        return False

    def described(delivery: Delivery) -> bool:
        image = _image(delivery, path)
        return bool(_root(delivery, image.metadata).tag)

    return holds(path, described)


def open_planetscope(path: Path, resolution_m: float | None = None) -> Scene:
    """Open a PlanetScope scene without reading its pixels.

    path
        The image, its XML, or a folder or archive that holds both; of several images of one scene in a folder, that
        of the top of the atmosphere.
    resolution_m
        None, or the pixel size of the image itself.

    Returns reflectance (lines, samples, bands) in the order of wavelength, NaN where there is no data. Raises
    `InputError`.
    """
    delivery = open_delivery(path)
    image = _image(delivery, path)
    where = f"{delivery.path}: {image.metadata}"
    root = _root(delivery, image.metadata)
    check_resolution("PlanetScope", _finite(root, "rowGsd", where), resolution_m)
    with open_tiff(delivery, image.name) as raster:
        sensor = _sensor(root, raster.count, where)
    bands, notes = _surface_bands(image, sensor) if image.surface else _toa_bands(root, image, sensor, where)
    cube = open_stack(
        delivery,
        bands,
        name=PurePosixPath(image.name).stem,
        sensor=sensor,
        dtypes=("uint16",),
        fill=0,
        quantity="surface_reflectance" if image.surface else "toa_reflectance",
        facts=_facts(root, image, notes, where),
        metadata=(image.metadata,),
    )
    return Scene.of_reflectance(cube)


def _image(delivery: Delivery, path: Path) -> _Image:
    """Return the image that a path means and its metadata. Raises `InputError`."""
    images = _named(delivery, _IMAGE)
    if named := _METADATA.fullmatch(path.name):
        images = {name: found for name, found in images.items() if found[1] == named[1]}
    elif _IMAGE.fullmatch(path.name):
        images = {name: found for name, found in images.items() if name == path.name}
    if not images:
        raise InputError(f"{delivery.path} has no PlanetScope image (*_AnalyticMS*.tif); put it beside its XML")
    if len({found[1] for found in images.values()}) > 1:
        raise InputError(f"{delivery.path} holds {len(images)} PlanetScope images; name one of them")
    name, found = min(images.items(), key=lambda item: [bool(part) for part in item[1].groups()[1:]])
    # A clipped image has metadata of its own; where there are none, those of the whole image go for it as well.
    described = {other: meta for other, meta in _named(delivery, _METADATA).items() if meta[1] == found[1]}
    if not described:
        raise InputError(f"{delivery.path}: {name} has no {found[1]}_metadata.xml beside it; download it too")
    metadata = min(described, key=lambda other: bool(described[other][2]) != bool(found[4]))
    return _Image(name, found[1], bool(found[2]), bool(found[3]), metadata)


def _named(delivery: Delivery, pattern: re.Pattern[str]) -> dict[str, re.Match[str]]:
    return {name: found for name in delivery.names if (found := pattern.fullmatch(PurePosixPath(name).name))}


def _root(delivery: Delivery, name: str) -> Element:
    """Read the XML of a PlanetScope scene. Raises `InputError`."""
    root = read_xml(delivery.read(name), f"{delivery.path}: {name}")
    platform = root.find(".//Platform/shortName")
    if root.tag != "EarthObservation" or platform is None or (platform.text or "").strip() != "PlanetScope":
        raise InputError(f"{delivery.path}: {name} does not describe a PlanetScope scene; is it the right file?")
    return root


def _sensor(root: Element, count: int, where: str) -> str:
    """Return the name in sensors.yml of the instrument with that many bands. Raises `InputError`."""
    instrument = root.find(".//Instrument/shortName")
    name = "" if instrument is None else (instrument.text or "").strip()
    if (name, count) not in _SENSORS:
        known = ", ".join(f"{other} with {bands}" for other, bands in _SENSORS)
        raise InputError(f"{where}: the bands of {name[:40]!r} with {count} are not known; those are: {known}")
    return _SENSORS[name, count]


def _surface_bands(image: _Image, sensor: str) -> tuple[list[Band], list[str]]:
    named = enumerate(known_sensors()[sensor].by_name.items(), start=1)
    bands = [Band(name, image.name, *nm, _SURFACE_SCALE, index=index) for index, (name, nm) in named]
    return bands, [SURFACE_NOTE, *(["harmonized: made to look like Sentinel-2"] if image.harmonized else [])]


def _toa_bands(root: Element, image: _Image, sensor: str, where: str) -> tuple[list[Band], list[str]]:
    """Return the bands with the factors of the metadata, and what to say of them. Raises `InputError`."""
    blocks = _blocks(root, where)
    bands, scaled, elevation = [], [], _elevation(root, where)
    for index, (name, (centre_nm, fwhm_nm)) in enumerate(known_sensors()[sensor].by_name.items(), start=1):
        if index not in blocks:
            raise InputError(f"{where} has no bandSpecificMetadata of band {index}; is it complete?")
        gain = blocks[index].get("reflectanceCoefficient", 0.0)
        if gain == 0:
            distance = distance_au(_acquired(root, where))
            per_radiance = reflectance_per_si_radiance(centre_nm, fwhm_nm, distance) / cosine_of_elevation(elevation)
            gain = blocks[index].get("radiometricScaleFactor", 0.0) * per_radiance
            scaled.append(name)
        if gain <= 0:
            raise InputError(f"{where} has no factor above zero for band {index}; is it complete?")
        bands.append(Band(name, image.name, centre_nm, fwhm_nm, gain, index=index))
    notes = [f"{', '.join(scaled)} without a reflectance coefficient: made from radiance"] if scaled else []
    return bands, notes + ([night_note(elevation)] if elevation <= 0 else [])


def _blocks(root: Element, where: str) -> Mapping[int, Mapping[str, float]]:
    """Return the factors of each band by its number: the order of the blocks means nothing. Raises `InputError`."""
    blocks: dict[int, dict[str, float]] = {}
    for block in root.iter("bandSpecificMetadata"):
        number = int(_finite(block, "bandNumber", where))
        if number in blocks:
            raise InputError(f"{where} describes band {number} twice; download it again")
        keys = ("radiometricScaleFactor", "reflectanceCoefficient")
        blocks[number] = {key: _finite(block, key, where) for key in keys if block.findtext(key, "").strip()}
    return blocks


def _finite(root: Element, name: str, where: str) -> float:
    value = number_of(root, name, where)
    if not math.isfinite(value):
        raise InputError(f"{where}: {name} is {value:g}, not a finite number")
    return value


def _elevation(root: Element, where: str) -> float:
    elevation = _finite(root, "illuminationElevationAngle", where)
    if not -90 <= elevation <= 90:
        raise InputError(f"{where}: the sun's elevation is {elevation:g}, not an angle from -90 to 90")
    return elevation


def _acquired(root: Element, where: str) -> datetime:
    """Return when the scene was seen, UTC. Raises `InputError`."""
    text = text_of(root, "acquisitionDateTime", where)
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InputError(f"{where}: acquisitionDateTime is {text[:40]!r}, not a time") from None


def _facts(root: Element, image: _Image, notes: list[str], where: str) -> Facts:
    if "_1B_" in image.scene.upper():
        notes.append("level 1B is on the sensor's own grid, without a georeference")
    notes.append("no bands beyond 1000 nm: a network has less to tell clouds from snow by")
    serial = root.find(".//Platform/serialIdentifier")
    return Facts(
        product=PurePosixPath(image.name).stem,
        level=f"{'1B' if '_1B_' in image.scene.upper() else '3B'} AnalyticMS{'_SR' if image.surface else ''}",
        acquired=_acquired(root, where),
        sun_zenith_deg=90 - _elevation(root, where),
        sun_azimuth_deg=_finite(root, "illuminationAzimuthAngle", where) % 360,
        satellite="PlanetScope" if serial is None else f"PlanetScope {(serial.text or '').strip()}",
        notes=tuple(notes),
    )
