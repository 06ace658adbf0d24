"""Opening scenes: any pair of supported files, any known product or raster becomes a `Scene`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from importlib import import_module
from pathlib import Path
from typing import Any

from spectf_cloud.errors import InputError, UsageError
from spectf_cloud.files.signature import TEXT, TIFF, is_text, kind_of
from spectf_cloud.readers import emit, envi, raster, xarray_cube
from spectf_cloud.readers.band_names import plain, telling
from spectf_cloud.readers.generic import Said, raster_scene
from spectf_cloud.readers.names import (
    HDF5_SUFFIXES,
    Ranked,
    address_of,
    is_twin,
    observations_beside,
    one_a_cube,
    read_name,
)
from spectf_cloud.readers.places import Place, find_place, the_image
from spectf_cloud.scene import Cube, Scene
from spectf_cloud.sensors import find_sensor

#: Position of each quantity in an 11-band OBS file whose band names say nothing.
_OBS_BANDS = 11
_SUN_ZENITH = ("to-sun zenith", 4)
_EARTH_SUN = ("earth-sun distance", 10)

#: Products that are known by what they hold: modules of the readers, each with ``is_NAME`` and ``open_NAME``.
PRODUCTS = ("sentinel2", "landsat", "hls", "planetscope")


def open_scene(radiance: str | Path, observation: str | Path | None = None) -> Scene:
    """Open a scene without reading its pixels.

    Parameters
    ----------
    radiance
        EMIT L1B RAD netCDF, or the header or data file of an ENVI radiance cube, uW cm-2 sr-1 nm-1.
    observation
        OBS in either format. Left out, the OBS file beside the radiance is found by its name.

    Raises
    ------
    InputError
        A file that is missing, unreadable, of the wrong kind, or a pair that does not fit together.
    """
    radiance_path = Path(radiance)
    radiance_cube = open_cube(radiance_path)
    observation_path = find_observation(radiance_path) if observation is None else Path(observation)
    observation_cube = open_cube(observation_path)
    _check_roles(radiance_cube, observation_cube)
    rad_shape = (radiance_cube.lines, radiance_cube.samples)
    obs_shape = (observation_cube.lines, observation_cube.samples)
    if rad_shape != obs_shape:
        raise InputError(
            f"{radiance_path} is {rad_shape[0]} lines x {rad_shape[1]} samples but {observation_path} is "
            f"{obs_shape[0]} x {obs_shape[1]}; give the OBS file of the same granule"
        )
    assert radiance_cube.sensor is not None  # _check_roles saw to it
    return Scene(
        name=radiance_cube.name,
        sensor=radiance_cube.sensor,
        image=radiance_cube,
        observation=observation_cube,
        sun_zenith_band=_observation_band(observation_cube, *_SUN_ZENITH),
        earth_sun_band=_observation_band(observation_cube, *_EARTH_SUN),
    )


def open_raster(
    path: Any,
    sensor: Any = None,
    *,
    quantity: str | None = None,
    scale: float | None = None,
    resolution_m: float | None = None,
    units: str | None = None,
    sun_zenith_deg: float | None = None,
    day: date | None = None,
) -> Scene:
    """Open any image, without reading more of its pixels than tell their scale.

    Parameters
    ----------
    path
        A product of Sentinel-2, Landsat, HLS or PlanetScope (folder, archive, or a file of it); a GeoTIFF or ENVI
        raster; a GeoTIFF in a zip or tar (``x.zip/inner.tif``, ``/vsizip/…``) or at an ``https://`` or ``s3://``
        address; an EMIT granule; or an xarray DataArray or Dataset.
    sensor
        What describes the bands where the file does not: a name such as ``sentinel2``, a YAML file, a list of bands, or
        a `Sensor`. Bands are matched by their names, else by their order.
    quantity
        ``toa_reflectance``, ``surface_reflectance`` or ``radiance`` where the file does not say which it holds.
    scale
        What makes reflectance of its numbers. Left out, 0 to 1, per cent and 0 to 10000 are told by their values.
    resolution_m
        The size of pixels, m, for products that come in several.
    units, sun_zenith_deg, day
        Of radiance without an OBS file, where the file does not say them: such as ``W m-2 sr-1 um-1``; the sun's
        zenith angle, one for all pixels; and the day. Radiance is never inferred.

    Returns
    -------
    Scene
        Its ``image.facts`` say what was found and what was assumed.

    Raises
    ------
    InputError
        A file that is missing, unreadable, or does not say what it holds.
    UsageError
        Parameters that cannot be meant.
    """
    said = Said(quantity, scale, resolution_m, units, sun_zenith_deg, day)
    if xarray_cube.is_xarray(path):
        cube: Cube = xarray_cube.open_cube(path)
        place = Place(cube.path)
        if sensor is None:
            cube = replace(cube, sensor=find_sensor(path))
    elif isinstance(path, (str, os.PathLike)):
        place = find_place(path)
        product = None if place.name else find_product(place.path)
        unsaid = sensor is None and replace(said, resolution_m=None) == Said()
        if product is not None and not unsaid:
            raise UsageError(f"{place.path} is a {product.name} product, which says all but its resolution itself")
        if product is not None:
            return product.open(place.path, resolution_m)
        granule = place.name is None and is_granule(place.path)
        if granule and unsaid:
            return open_scene(place.path)
        if granule and quantity is None:  # never a percentage because its values would do
            said = replace(said, quantity="radiance")
        place, cube = _open_image(place)
    else:
        raise UsageError(f"{type(path).__name__} is not a raster; give a path, an address or an xarray DataArray")
    return raster_scene(cube, place, None if sensor is None else find_sensor(sensor), said)


def _open_image(place: Place) -> tuple[Place, Cube]:
    """Open a raster, or the one in an archive. Raises `InputError`."""
    place = the_image(place)
    with place.readable():
        if place.name is None:
            cube = open_cube(place.path)
        else:
            cube = raster.open_cube(place.path, name=place.name, local=place.local)
    if role(cube) == "observation":
        raise InputError(f"{place.path} holds observation geometry (OBS); give the radiance or reflectance")
    return place, cube


def is_granule(path: Path) -> bool:
    """Whether a file is radiance or geometry of an imaging spectrometer, by its format or its name."""
    name = read_name(path.name)
    return path.is_file() and (emit.is_hdf5(path) or (name is not None and name.kind == "radiance"))


@dataclass(frozen=True)
class ProductReader:
    """What opens one kind of product."""

    name: str
    open: Callable[[Path, float | None], Scene]


def find_product(path: Path) -> ProductReader | None:
    """Find the reader of the product at a path; None where it is none that is known."""
    for name in PRODUCTS:
        reader = import_module(f"spectf_cloud.readers.{name}")
        if getattr(reader, f"is_{name}")(path):
            return ProductReader(name, getattr(reader, f"open_{name}"))
    return None


def open_cube(path: Path) -> Cube:
    """Open one radiance or observation file, in whichever format its content says. Raises `InputError`."""
    try:
        _check_file(path)
        if emit.is_hdf5(path):
            return emit.open_cube(path)
        if envi.is_envi(path):
            return envi.open_cube(path)
        kind = kind_of(path)
        if kind == TIFF:
            return raster.open_cube(path)
        empty = path.stat().st_size == 0
        named_hdf5 = path.suffix.lower() in HDF5_SUFFIXES
        if kind is None and named_hdf5 and is_text(path):  # anywhere else it may be raw numbers
            kind = TEXT
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        raise InputError(f"{path}: cannot be read: {error}") from error
    if empty:
        raise InputError(f"{path} is empty; download or copy it again")
    if kind is not None:
        raise InputError(f"{path} is {kind.name}, not a scene; {kind.way_out}")
    if named_hdf5:
        raise InputError(
            f"{path} is not a netCDF-4/HDF5 file, whatever its name says; if it came from a download, its beginning "
            "is damaged: download it again"
        )
    raise InputError(f"{path} is neither an EMIT netCDF nor an ENVI file (no .hdr beside it) nor a TIFF")


def _check_file(path: Path) -> None:
    """Refuse what is not a file here that may be read."""
    if path.is_dir():
        raise InputError(f"{path} is a folder; give the file in it")
    if not path.exists():
        address = address_of(path)
        if address is not None:
            raise InputError(
                f"{address} is an address; download it and give the local file, as deploy-pt needs "
                "(deploy-many fetches https addresses)"
            )
        raise InputError(f"{path} does not exist")
    if not path.is_file():  # a pipe would keep us waiting for ever
        raise InputError(f"{path} is not a plain file; give the file of the scene")
    with path.open("rb"):  # HDF5 and ENVI would each say in their own way that they may not
        pass


def find_observation(radiance: Path) -> Path:
    """The OBS file of the same scene beside the radiance or in a sister folder, by names. Raises `InputError`."""
    if radiance.suffix.lower() == ".hdr" and radiance.is_file():
        radiance = envi.open_cube(radiance).path
    found = observations_beside(radiance)
    if not found:
        raise InputError(f"{radiance}: no matching OBS file beside it; name one (OBSFP, --obs, or in a list)")
    return choose_observation(radiance, found)


def choose_observation(radiance: Path, candidates: Sequence[Ranked]) -> Path:
    """The OBS file among several whose names fit: the likeliest of the radiance's size. Raises `InputError`."""
    ranked = one_a_cube(candidates)
    if len(ranked) > 1 and not is_twin(ranked[0][0]):  # on the sensor's grid and on a map, or of two processings
        ranked = _of_one_size(radiance, ranked)
    rank, path = ranked[0]
    for other_rank, other in ranked[1:]:
        if other_rank == rank and other.name != path.name:
            raise InputError(
                f"{radiance}: its OBS file may be {path.name} or {other.name}; name one (OBSFP, --obs, or in a list)"
            )
    return path


def _of_one_size(radiance: Path, observations: list[Ranked]) -> list[Ranked]:
    """Those with the lines and samples of the radiance; the first where none has, for the message that says so."""

    def size(path: Path) -> tuple[int, int] | None:
        try:
            cube = open_cube(path)
        except InputError:
            return None
        return cube.lines, cube.samples

    wanted = size(radiance)
    return [(rank, path) for rank, path in observations if wanted and size(path) == wanted] or observations[:1]


def role(cube: Cube) -> str | None:
    """What a cube holds, judged by its content: "radiance", "reflectance", "observation" or None."""
    names = telling(cube.band_names)
    if any(plain(_SUN_ZENITH[0]) in plain(name) for name in names):
        return "observation"
    if cube.sensor is not None:
        return "radiance" if cube.quantity == "radiance" else "reflectance"
    return "observation" if cube.bands == _OBS_BANDS and not names else None


def _check_roles(radiance: Cube, observation: Cube) -> None:
    roles = role(radiance), role(observation)
    if roles == ("observation", "radiance"):
        raise InputError(
            f"radiance and observation are swapped: {radiance.path} holds geometry and {observation.path} radiance; "
            "the order is OUTFP OBSFP RDNFP"
        )
    if roles[0] != "radiance":
        kinds = {"observation": "holds observation geometry", "reflectance": "holds reflectance"}
        what = kinds.get(roles[0] or "", "has no band centres")
        raise InputError(f"{radiance.path} {what}; radiance with wavelengths is needed")
    if roles[1] != "observation":
        what = f"holds {roles[1]}" if roles[1] else f"has {observation.bands} bands, none named 'To-sun zenith'"
        raise InputError(f"{observation.path} {what}; observation geometry (OBS) is needed")


def _observation_band(cube: Cube, wanted: str, position: int) -> int:
    """By name, however it is spelled; by position only where the names say nothing."""
    names = telling(cube.band_names)
    if names and len(names) != cube.bands:
        raise InputError(
            f"{cube.path}: {len(names)} band names for {cube.bands} bands, so none tells which is '{wanted}'; correct "
            "the names"
        )
    for band, name in enumerate(names):
        if plain(wanted) in plain(name):
            return band
    if names or position >= cube.bands:
        raise InputError(f"{cube.path}: no band is named '{wanted}' among its {cube.bands}")
    return position
