import shutil

import numpy as np
import pytest

from spectf_cloud.dataset import find_observation, open_scene
from spectf_cloud.errors import InputError

from files import (
    OBS_NAMES,
    WAVELENGTH_NM,
    arrays,
    obs_fields,
    wavelength_fields,
    write_emit,
    write_envi,
    write_envi_scene,
)


def test_all_four_pairings_give_the_same_scene(tmp_path):
    data = arrays()
    emit_pair, envi_pair = write_emit(tmp_path, data), write_envi_scene(tmp_path, data)
    for rad in (emit_pair[0], envi_pair[0]):
        for obs in (emit_pair[1], envi_pair[1]):
            scene = open_scene(rad, obs)
            np.testing.assert_array_equal(scene.read_radiance(0, 7), data.radiance)
            np.testing.assert_array_equal(scene.read_sun_zenith_deg(2, 4), data.obs[2:4, :, 4].astype(np.float64))
            assert scene.earth_sun_au == pytest.approx(1.01, rel=1e-6)
            np.testing.assert_allclose(scene.sensor.wavelength_nm, WAVELENGTH_NM, rtol=1e-6)


@pytest.mark.parametrize(
    ("rad", "obs"),
    [
        ("EMIT_L1B_RAD_001_20240203T040506_2403404_007.nc", "EMIT_L1B_OBS_001_20240203T040506_2403404_007.nc"),
        ("EMIT_L1B_RAD_002_20240203T040506.nc", "EMIT_L1B_OBS_002_20240203T040506.nc"),
        ("EMIT_L1B_RAD_002_20240203T040506.nc", "EMIT_L1B_OBS_001_20240203T040506_2403404_007.nc"),
        ("emit20240203t040506_l1b_rdn_b0106_v01.img", "emit20240203t040506_l1b_obs_b0106_v01.img"),
        ("ang20170323t202244_rdn", "ang20170323t202244_obs"),
    ],
)
def test_the_observation_beside_the_radiance_is_found(tmp_path, rad, obs):
    for name in (rad, obs):
        (tmp_path / name).touch()
    assert find_observation(tmp_path / rad) == tmp_path / obs


def test_a_missing_observation_is_named(tmp_path):
    rad, obs = write_emit(tmp_path, arrays())
    obs.unlink()
    with pytest.raises(InputError, match="no matching OBS"):
        open_scene(rad)


def test_bands_are_found_by_name_and_by_position_without_names(tmp_path):
    data = arrays()
    shuffled = np.roll(np.arange(11), 3)
    data.obs[...] = data.obs[..., shuffled]
    names = tuple(OBS_NAMES[i] for i in shuffled)
    scene = open_scene(*write_emit(tmp_path, data, names=names))
    assert (names[scene.sun_zenith_band], names[scene.earth_sun_band]) == (OBS_NAMES[4], OBS_NAMES[10])
    unnamed = open_scene(*write_emit(tmp_path, arrays(), names=()))
    assert (unnamed.sun_zenith_band, unnamed.earth_sun_band) == (4, 10)


def test_unusable_geometry_becomes_nan_and_stays_out_of_the_distance(tmp_path):
    data = arrays()
    data.obs[0] = -9999
    data.obs[1, 0, 4], data.obs[1, 1, 4], data.obs[1, 2, 4], data.obs[1, 3, 10] = 95, np.nan, -1, -9999
    scene = open_scene(*write_emit(tmp_path, data))
    zenith = scene.read_sun_zenith_deg(0, 7)
    assert np.isnan(zenith[0]).all()
    assert np.isnan(zenith[1]).tolist() == [True, True, True, True, False]
    assert np.isfinite(zenith[2:]).all()
    assert scene.earth_sun_au == pytest.approx(1.01, rel=1e-6)


def test_minus_9999_is_no_geometry_whatever_is_declared(tmp_path):
    data = arrays()
    data.obs[0, :, 10] = -9999
    rad, _ = write_emit(tmp_path, data)
    write_envi(tmp_path / "obs", data.obs, fields=obs_fields() | {"data ignore value": "0"})
    scene = open_scene(rad, tmp_path / "obs")
    assert scene.earth_sun_au == pytest.approx(1.01, rel=1e-6)
    assert np.isnan(scene.read_sun_zenith_deg(0, 1)).all()


def test_more_names_than_bands_are_no_band(tmp_path):
    data = arrays()
    rad, _ = write_emit(tmp_path, data)
    write_envi(tmp_path / "obs", data.obs[..., :3], fields=obs_fields())
    with pytest.raises(InputError, match="to-sun zenith"):
        open_scene(rad, tmp_path / "obs")


def test_the_observation_of_a_header_is_found_by_its_data_file(tmp_path):
    data = arrays()
    write_envi(tmp_path / "a_rdn.img", data.radiance, header="{}.hdr", fields=wavelength_fields())
    (tmp_path / "a_rdn.img.hdr").rename(tmp_path / "a_rdn.hdr")
    write_envi(tmp_path / "a_obs.img", data.obs, fields=obs_fields())
    assert open_scene(tmp_path / "a_rdn.hdr").observation.path == tmp_path / "a_obs.img"


def test_a_distance_that_is_none_is_refused(tmp_path):
    data = arrays()
    data.obs[..., 10] = 149.6
    with pytest.raises(InputError, match="Earth–Sun distance"):
        _ = open_scene(*write_emit(tmp_path, data)).earth_sun_au


def test_roles_are_judged_by_content(tmp_path):
    rad, obs = write_emit(tmp_path, arrays())
    with pytest.raises(InputError, match="swapped"):
        open_scene(obs, rad)
    with pytest.raises(InputError, match="holds observation geometry"):
        open_scene(obs, obs)
    with pytest.raises(InputError, match="holds radiance"):
        open_scene(rad, rad)
    write_envi(tmp_path / "plain.img", arrays().radiance)
    with pytest.raises(InputError, match="no band centres"):
        open_scene(tmp_path / "plain.img", obs)


def test_shapes_that_differ_name_both_files(tmp_path):
    rad, _ = write_emit(tmp_path, arrays())
    write_envi(tmp_path / "other_obs", arrays(lines=6).obs, fields=obs_fields())
    with pytest.raises(InputError, match=r"7 lines x 5 samples but .*other_obs is 6 x 5"):
        open_scene(rad, tmp_path / "other_obs")


def test_what_is_not_a_scene_is_named(tmp_path):
    _, obs = write_emit(tmp_path, arrays())
    text = tmp_path / "text.nc"
    text.write_text("not netCDF")
    plain = tmp_path / "plain.img"
    shutil.copy(text, plain)
    for path, message in (
        (tmp_path, "is a folder"),
        (tmp_path / "absent.nc", "does not exist"),
        (text, "is not a netCDF-4/HDF5 file"),
        (plain, "neither an EMIT netCDF nor an ENVI"),
    ):
        with pytest.raises(InputError, match=message):
            open_scene(path, obs)
