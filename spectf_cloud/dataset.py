"""Opening scenes: any pair of supported files becomes a `Scene`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from spectf_cloud.errors import InputError
from spectf_cloud.files.signature import TEXT, TIFF, is_text, kind_of
from spectf_cloud.readers import emit, envi, raster
from spectf_cloud.readers.band_names import plain, telling
from spectf_cloud.readers.names import HDF5_SUFFIXES, Ranked, address_of, is_twin, observations_beside, one_a_cube
from spectf_cloud.scene import Cube, Scene

#: Position of each quantity in an 11-band OBS file whose band names say nothing.
_OBS_BANDS = 11
_SUN_ZENITH = ("to-sun zenith", 4)
_EARTH_SUN = ("earth-sun distance", 10)


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
