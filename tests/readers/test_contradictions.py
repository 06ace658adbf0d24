"""Pairs that do not belong together, as their names and places tell."""

import numpy as np
import pytest
import rasterio.warp
from rasterio.crs import CRS

from spectf_cloud.dataset import open_cube
from spectf_cloud.readers.contradictions import contradictions
from spectf_cloud.scene import Grid, Location

from scene_files import arrays, obs_fields, wavelength_fields, write_envi, write_tiff
from small_scenes import WGS84, array_cube, sheared_location

UTM = "{{UTM, {}, {}, {}, {}, {}, {}, {}, {}, WGS-84, units=Meters{}}}"


def utm(tie=(1, 1), at=(500000, 4100000), pixel=(30, 30), zone=11, half="North", more=""):
    return UTM.format(*tie, *at, *pixel, zone, half, more)


def found(folder, here, there, names=("a_rdn", "a_obs")):
    """Contradictions of an ENVI pair with these map infos; None for one without."""
    for name, values, fields, info in (
        (names[0], arrays().radiance, wavelength_fields(), here),
        (names[1], arrays().obs, obs_fields(), there),
    ):
        write_envi(folder / name, values, fields=fields | ({"map info": info} if info else {}))
    return list(contradictions(*(open_cube(folder / name) for name in names)))


ELSEWHERE = {
    "400 km east": utm(at=(900000, 4100000)),
    "a few pixels": utm(at=(500000 + 5 * 30, 4100000)),
    "larger pixels": utm(pixel=(60, 60)),
    "smaller pixels": utm(pixel=(30, 15)),
    "another zone": utm(zone=12),
    "another hemisphere": utm(half="South"),
    "rotated": utm(more=", rotation=30"),
    "another tie point": utm(tie=(11, 11)),
    "geographic, elsewhere": "{Geographic Lat/Lon, 1, 1, -131.39, -12.79, 0.000542, 0.000542, WGS-84, units=Degrees}",
}


@pytest.mark.parametrize("case", ELSEWHERE)
@pytest.mark.parametrize("turned_round", [False, True])
def test_map_infos_that_contradict_are_said(tmp_path, case, turned_round):
    pair = (utm(), ELSEWHERE[case])
    (text,) = found(tmp_path, *(pair[::-1] if turned_round else pair))
    assert "another scene's geometry" in text and "a_rdn" in text and "a_obs" in text


SAME = {
    "the same": utm(),
    "half a pixel": utm(tie=(1.5, 1.5)),
    "the tie point elsewhere": utm(tie=(3, 4), at=(500060, 4099910)),
    "rounded pixels": utm(pixel=(30.0001, 29.9999)),
    "no rotation": utm(more=", rotation=0"),
    "another datum's name": utm().replace("WGS-84", "WGS 84"),
    "nothing": None,
    "an empty one": "{}",
    "no system": "{Arbitrary, 1, 1, 0, 0, 1, 1, 0, North}",
    "what cannot be used": utm(more=", rotation=north"),
}


@pytest.mark.parametrize("case", SAME)
def test_map_infos_that_agree_or_are_missing_are_not(tmp_path, case):
    assert found(tmp_path, utm(), SAME[case]) == []


def test_one_system_in_two_spellings_is_one(tmp_path):
    spelled = [CRS.from_epsg(32611).to_wkt(version=version) for version in ("WKT1_GDAL", "WKT1_ESRI", "WKT2_2019")]
    grid = (500000.0, 30.0, 0.0, 4100000.0, 0.0, -30.0)
    values = np.ones((7, 5, 3))
    cubes = [array_cube(values, tmp_path / f"{i}_x", map_grid=Grid(grid, wkt)) for i, wkt in enumerate(spelled)]
    assert [list(contradictions(cubes[0], cube)) for cube in cubes] == [[], [], []]


def test_a_tiff_is_compared_too(tmp_path):
    transform = rasterio.Affine(30, 0, 500000, 0, -30, 4100000)
    options = {"crs": "EPSG:32611", "transform": transform}
    here = open_cube(write_tiff(tmp_path / "r.tif", arrays().radiance, fields=wavelength_fields(), **options))
    write_envi(tmp_path / "obs", arrays().obs, fields=obs_fields() | {"map info": utm()})
    assert list(contradictions(here, open_cube(tmp_path / "obs"))) == []
    write_envi(tmp_path / "far_obs", arrays().obs, fields=obs_fields() | {"map info": utm(zone=12)})
    assert len(list(contradictions(here, open_cube(tmp_path / "far_obs")))) == 1


@pytest.mark.parametrize(("shift_deg", "contradict"), [(0.0, False), (0.01, False), (3.0, True)])
@pytest.mark.parametrize("grid_first", [True, False])
def test_a_grid_is_compared_with_the_places_of_pixels(tmp_path, shift_deg, contradict, grid_first):
    grid = Grid((500000.0, 60.0, 0.0, 4100000.0, 0.0, -60.0), CRS.from_epsg(32611).to_wkt())
    line, sample = (axis + 0.5 for axis in np.mgrid[:40, :50])
    east, north = 500000 + 60 * sample.ravel(), 4100000 - 60 * line.ravel()
    lon, lat = (np.reshape(v, (40, 50)) for v in rasterio.warp.transform("EPSG:32611", "EPSG:4326", east, north))
    lon[0] = lat[0] = -9999
    values = np.ones((40, 50, 3))
    gridded = array_cube(values, tmp_path / "x_a", map_grid=grid)
    placed = array_cube(values, tmp_path / "x_b", place=Location(lon + shift_deg, lat, np.zeros_like(lon)))
    pair = (gridded, placed) if grid_first else (placed, gridded)
    assert bool(list(contradictions(*pair))) == contradict


def test_places_on_both_sides_of_the_antimeridian_are_near(tmp_path):
    place = sheared_location(20, 30, lon0=179.99)
    wrapped = Location((place.lon_deg + 180) % 360 - 180, place.lat_deg, place.elevation_m)
    values = np.ones((20, 30, 3))
    pair = [array_cube(values, tmp_path / f"x_{i}", place=at) for i, at in enumerate((place, wrapped))]
    assert list(contradictions(*pair)) == []
    grid = Grid((179.99, 0.0005, 0.0, 45.0, 0.0, -0.0005), WGS84)
    back = Grid((-180.01, 0.0005, 0.0, 45.0, 0.0, -0.0005), WGS84)
    pair = [array_cube(values, tmp_path / f"x_{i}", map_grid=at) for i, at in enumerate((grid, back))]
    assert list(contradictions(*pair)) == []


OTHER_TIMES = [
    ("emit20230418t211703_rdn", "emit20230418t211715_obs"),
    ("ang20170323t202244_rdn", "ang20170323t212244_obs"),
    ("AV320230418t211703_rdn", "AV320230419t211703_obs"),
    ("AV320230418t211703_000_L1B_RDN", "AV320230418t211703_001_L1B_OBS"),
    ("f130503t01p00r09rdn_e", "f130503t01p00r10_obs"),
    ("f130503t01p00r09rdn_e", "f130504t01p00r09_obs"),
    ("ang20170323t202244_rdn", "f130504t01p00r09_obs"),
]


@pytest.mark.parametrize("names", OTHER_TIMES)
def test_names_of_other_times_contradict(tmp_path, names):
    (text,) = found(tmp_path, None, None, names)
    assert f"{names[1]} is of 20" in text


@pytest.mark.parametrize(
    "names",
    [
        ("emit20230418t211703_rdn", "EMIT_L1B_OBS_001_20230418T211703_2310814_001"),
        ("AV320230418t211703_000_L1B_RDN", "AV320230418t211703_000_L1B_ORT_OBS"),
        ("f130503t01p00r09rdn_e_sc01_ort_img", "f130503t01p00r09_obs_ort"),
        ("scene_rdn", "ang20170323t202244_obs"),
    ],
)
def test_names_of_one_time_do_not(tmp_path, names):
    assert found(tmp_path, None, None, names) == []
