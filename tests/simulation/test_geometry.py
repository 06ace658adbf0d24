"""Sun, overpass and lookup table against independent sources and each other."""

from datetime import UTC, datetime

import h5py
import numpy as np
import pytest

from spectf_cloud.errors import InputError
from spectf_cloud.readers import sun
from spectf_cloud.simulation import glt, overpass
from spectf_cloud.simulation.geometry import NODATA, OBS_BANDS, read_obs

from scene_files import arrays, write_emit

WHEN = datetime(2024, 7, 1, 10, 30, tzinfo=UTC)
PASS = overpass.Overpass(
    lon_deg=20.0, lat_deg=35.0, start=WHEN, ascending=False, roll_deg=3.0, relief_m=60, ground_m=200
)


@pytest.fixture(scope="module")
def place():
    return overpass.synthesise((90, 110), PASS, np.random.default_rng(0))


def test_sun_stands_where_pvlib_says():
    pvlib = pytest.importorskip("pvlib")
    for month, lon, lat in ((1, 20.0, -35.0), (7, 120.0, 48.0), (10, -60.0, 3.0)):
        time = datetime(2024, month, 5, (12 - int(lon // 15)) % 24, 20, tzinfo=UTC)
        there = pvlib.solarposition.get_solarposition(time, lat, lon, method="nrel_numpy").iloc[0]
        zenith, azimuth = sun.position(time, np.array(lon), np.array(lat))
        assert zenith == pytest.approx(there["zenith"], abs=0.02)
        assert azimuth == pytest.approx(there["azimuth"], abs=0.1)
        distance = pvlib.solarposition.nrel_earthsun_distance(time).iloc[0]
        assert sun.distance_au(time) == pytest.approx(distance, abs=5e-4)


def test_pixels_are_60_m_apart(place):
    inner = np.s_[:, 5:-5]
    north = np.deg2rad(place.lat[inner]) * 6371e3
    east = np.deg2rad(place.lon[inner]) * 6371e3 * np.cos(np.deg2rad(35.0))
    for axis in (0, 1):
        step = np.hypot(np.diff(north, axis=axis), np.diff(east, axis=axis))
        assert step == pytest.approx(np.full(step.shape, 60.0), abs=0.2)


def test_observation_is_consistent_with_itself(place):
    obs = place.obs[place.valid].astype(np.float64)
    view, sunward, slope = (np.deg2rad(obs[:, column]) for column in (2, 4, 6))
    turn = np.deg2rad(obs[:, 1] - obs[:, 3])
    phase = np.cos(view) * np.cos(sunward) + np.sin(view) * np.sin(sunward) * np.cos(turn)
    assert np.cos(np.deg2rad(obs[:, 5])) == pytest.approx(phase, abs=1e-5)
    tilt = np.deg2rad(obs[:, 7] - obs[:, 3])
    lit = np.cos(slope) * np.cos(sunward) + np.sin(slope) * np.sin(sunward) * np.cos(tilt)
    assert obs[:, 8] == pytest.approx(lit, abs=1e-5)
    zenith, _ = sun.position(WHEN, place.lon[place.valid], place.lat[place.valid])
    assert obs[:, 4] == pytest.approx(zenith, abs=1e-4)
    assert obs.shape[1] == len(OBS_BANDS)
    assert (obs[:, 2] < 15).all() and obs[:, 9].min() == pytest.approx(10.5)


def test_slopes_face_downhill(place):
    """Along the way a slope faces, the ground falls."""
    line, sample = 40, 50
    aspect = np.deg2rad(place.obs[line, sample, 7])
    fall = np.array([np.sin(aspect), np.cos(aspect)])
    around = np.s_[line - 1 : line + 2, sample - 1 : sample + 2]
    east = (place.lon[around] - place.lon[line, sample]) * np.cos(np.deg2rad(35.0))
    north = place.lat[around] - place.lat[line, sample]
    along = east * fall[0] + north * fall[1]
    assert np.polyfit(along.ravel(), place.elev[around].ravel(), 1)[0] < 0


def test_edges_are_slanted_and_empty(place):
    assert 0 < (~place.valid).sum() < 0.02 * place.valid.size
    for array in (place.lon, place.lat, place.elev, place.obs[..., 4]):
        assert (array[~place.valid] == NODATA).all()


def test_lookup_table_finds_the_pixel_that_is_there(place):
    """Every orthorectified cell lies within 0.71 pixels of the pixel it names, by the pixel's own lon and lat."""
    west, dx, _, north, _, dy = place.geotransform
    seen = place.glt_x != 0
    rows, columns = np.nonzero(seen)
    line, sample = np.abs(place.glt_y[seen]) - 1, np.abs(place.glt_x[seen]) - 1
    assert place.valid[line, sample].all()
    east = (place.lon[line, sample] - west - (columns + 0.5) * dx) * np.cos(np.deg2rad(35.0))
    up = place.lat[line, sample] - north - (rows + 0.5) * dy
    assert np.hypot(east, up).max() * 111_195 < 0.71 * 60
    assert ((place.glt_x > 0) == (place.glt_y > 0)).all()
    # Every pixel is named, and a named pixel whose centre lies in the cell is not marked interpolated.
    assert len({*zip(line.tolist(), sample.tolist(), strict=True)}) > 0.8 * place.valid.sum()
    direct = (np.abs(place.lon[line, sample] - west - (columns + 0.5) * dx) < 0.49 * dx) & (np.abs(up) < 0.49 * dx)
    assert (place.glt_x[seen][direct] > 0).all() and (place.glt_x[seen] < 0).any()


def test_lookup_table_of_an_upright_swath_is_plain():
    step = glt.SPACING_DEG
    to_degrees = np.array([[0.0, step], [-step, 0.0]])
    x, y, transform = glt.lookup_table((3, 4), np.array([10.0, 50.0]), to_degrees, np.zeros((3, 4), bool))
    named = x > 0
    assert x[named].reshape(3, 4).tolist() == [[1, 2, 3, 4]] * 3
    assert y[named].reshape(3, 4).tolist() == [[1] * 4, [2] * 4, [3] * 4]
    row, column = np.argwhere(named)[0]
    assert transform[0] + (column + 0.5) * step == pytest.approx(10.0, abs=step / 2)
    assert transform[3] - (row + 0.5) * step == pytest.approx(50.0, abs=step / 2)


def test_shadows_fall_away_from_the_sun(place):
    """A shadow lies from its cloud in the direction away from the sun, farther for a lower sun."""
    per_line, per_sample = place.shadow_step()
    line, sample = 45, 55
    shift = np.array([
        (place.lon[line + 1, sample] - place.lon[line, sample]) * per_line
        + (place.lon[line, sample + 1] - place.lon[line, sample]) * per_sample,
        (place.lat[line + 1, sample] - place.lat[line, sample]) * per_line
        + (place.lat[line, sample + 1] - place.lat[line, sample]) * per_sample,
    ])  # fmt: skip
    east_north_km = shift * 111.195 * np.array([np.cos(np.deg2rad(35.0)), 1.0])
    obs = np.deg2rad(place.obs[line, sample].astype(np.float64))
    away = -np.tan(obs[4]) * np.array([np.sin(obs[3]), np.cos(obs[3])])
    seen = np.tan(obs[2]) * np.array([np.sin(obs[1]), np.cos(obs[1])])
    assert east_north_km == pytest.approx(away + seen, abs=0.01)


def test_overpasses_are_by_day():
    for seed in range(20):
        drawn = overpass.draw_overpass(np.random.default_rng(seed), None, (5.0, 50.0), (10.0, 20.0))
        zenith, _ = sun.position(drawn.start, np.array(drawn.lon_deg), np.array(drawn.lat_deg))
        assert 20 < zenith < 60


def test_a_start_time_is_kept():
    drawn = overpass.draw_overpass(np.random.default_rng(0), WHEN, (20.0, 40.0), (10.0, 20.0))
    assert drawn.start == WHEN


def test_geometry_of_a_real_file(reference):
    path = next((reference / "emit").glob("EMIT_L1B_OBS*.nc"))
    real = read_obs(path)
    assert real.shape == (200, 200) and real.valid.all()
    assert real.start == datetime(2022, 8, 27, 6, 7, 53, tzinfo=UTC)
    angles = real.mean_angles()
    assert angles.cos_sun == pytest.approx(np.cos(np.deg2rad(35.67)), abs=1e-3)
    assert real.glt_x.shape == (318, 354)
    # Our own formulas give the real file's sun and phase.
    zenith, azimuth = sun.position(real.start, real.lon, real.lat)
    assert zenith == pytest.approx(real.obs[..., 4], abs=0.1)
    assert azimuth == pytest.approx(real.obs[..., 3], abs=0.3)


def test_geometry_of_a_packed_file_is_unpacked(tmp_path):
    """Packed as xarray packs it, and with its first line missing."""
    data = arrays(9, 8)
    table = np.array([[1, -5, 0], [2, 3, 4]])
    _, path = write_emit(tmp_path, data, glt=(table, table))
    with h5py.File(path, "r+") as file:
        stored = np.rint(data.obs / 0.01).astype("i2")
        stored[0] = -32768
        del file["obs"]
        file["obs"] = stored
        file["obs"].attrs.update({"scale_factor": np.float32(0.01), "_FillValue": np.int16(-32768)})
        for key in ("lon", "lat", "elev"):
            file[f"location/{key}"] = np.full((9, 8), 250, "i2")
            file[f"location/{key}"].attrs["scale_factor"] = 0.1
        file.attrs["time_coverage_start"] = "2024-02-03T04:05:06+0000"
    real = read_obs(path)
    assert (real.obs[0] == NODATA).all() and (real.lon == 25).all()
    np.testing.assert_allclose(real.obs[1:], data.obs[1:], atol=0.00501)
    assert real.glt_x.tolist() == table.tolist()


def test_something_else_is_refused_by_name(tmp_path):
    path = tmp_path / "x.nc"
    path.write_text("no")
    with pytest.raises(InputError, match=r"x\.nc"):
        read_obs(path)
