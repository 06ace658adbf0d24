"""Opening scenes: any pair of supported files becomes a `Scene`."""

from __future__ import annotations

import re
from pathlib import Path

from spectf_cloud.errors import InputError
from spectf_cloud.readers import emit, envi, raster
from spectf_cloud.readers.names import acquired, address_of, plain, telling
from spectf_cloud.readers.signature import TIFF, kind_of
from spectf_cloud.scene import Cube, Scene

#: Position of each quantity in an 11-band OBS file whose band names say nothing.
_OBS_BANDS = 11
_SUN_ZENITH = ("to-sun zenith", 4)
_EARTH_SUN = ("earth-sun distance", 10)

# Digits and underscores may stand on either side: f130503t01p00r09rdn_e.
_OBS_IN_NAME = re.compile(r"(?<![a-z])obs(?![a-z])", re.IGNORECASE)
_RADIANCE_IN_NAME = re.compile(r"radiance|(?<![a-z])(?:rad|rdn)(?![a-z])", re.IGNORECASE)


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
        radiance=radiance_cube,
        observation=observation_cube,
        sun_zenith_band=_observation_band(observation_cube, *_SUN_ZENITH),
        earth_sun_band=_observation_band(observation_cube, *_EARTH_SUN),
    )


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
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        raise InputError(f"{path}: cannot be read: {error}") from error
    if empty:
        raise InputError(f"{path} is empty; download or copy it again")
    if kind is not None:
        raise InputError(f"{path} is {kind.name}, not a scene; {kind.way_out}")
    if path.suffix.lower() in (".nc", ".nc4", ".h5", ".hdf5"):
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
    """The OBS file of the same granule in the same folder. Raises `InputError`."""
    if radiance.suffix.lower() == ".hdr" and radiance.is_file():
        radiance = envi.open_cube(radiance).path
    beside = _renamed(radiance) or _same_time(radiance)
    if len(beside) == 1:
        return beside[0]
    several = f"any of {', '.join(path.name for path in beside)} may be its OBS file" if beside else ""
    raise InputError(f"{radiance}: {several or 'no matching OBS file beside it'}; name one (OBSFP or --obs)")


def _renamed(radiance: Path) -> list[Path]:
    """The file that is named like the radiance but for the word that says what it holds; none, or one."""
    for found in reversed(list(_RADIANCE_IN_NAME.finditer(radiance.name))):
        name = radiance.name[: found.start()] + _like(found[0], "obs") + radiance.name[found.end() :]
        data = radiance.with_name(name)
        wanted = [data, data.with_name(f"{name}.hdr"), data.with_suffix(".hdr")]
        if beside := [path for path in wanted if path.is_file()] or envi.in_any_case(radiance.parent, wanted):
            return beside[:1]
    return []


def _like(word: str, other: str) -> str:
    """``other`` in capitals where ``word`` is."""
    return other.upper() if word.isupper() else other


def _same_time(radiance: Path) -> list[Path]:
    """OBS files in the radiance's folder whose names tell the same second or run: the rest of a name may differ."""
    seen = acquired(radiance.name)
    if seen is None or not radiance.parent.is_dir():
        return []
    # Of an ENVI pair the data file; quicklooks and the like are none.
    suffixes = (*envi.DATA_SUFFIXES, ".nc")
    found = [
        path
        for path in radiance.parent.iterdir()
        if _OBS_IN_NAME.search(path.stem) and acquired(path.name) == seen and path.suffix.lower() in suffixes
    ]
    alike = [path for path in found if path.suffix == radiance.suffix]
    return sorted(path for path in alike or found if path.is_file())


def role(cube: Cube) -> str | None:
    """What a cube holds, judged by its content: "radiance", "observation" or None."""
    names = telling(cube.band_names)
    if any(plain(_SUN_ZENITH[0]) in plain(name) for name in names):
        return "observation"
    if cube.sensor is not None:
        return "radiance"
    return "observation" if cube.bands == _OBS_BANDS and not names else None


def _check_roles(radiance: Cube, observation: Cube) -> None:
    roles = role(radiance), role(observation)
    if roles == ("observation", "radiance"):
        raise InputError(
            f"radiance and observation are swapped: {radiance.path} holds geometry and {observation.path} radiance; "
            "the order is OUTFP OBSFP RDNFP"
        )
    if roles[0] != "radiance":
        what = "holds observation geometry" if roles[0] else "has no band centres"
        raise InputError(f"{radiance.path} {what}; radiance with wavelengths is needed")
    if roles[1] != "observation":
        what = "holds radiance" if roles[1] else f"has {observation.bands} bands, none named 'To-sun zenith'"
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
