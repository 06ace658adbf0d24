import shutil

import numpy as np
import pytest

from spectf_cloud.__main__ import main
from spectf_cloud.dataset import find_observation, open_cube, open_scene
from spectf_cloud.errors import InputError

from scene_files import (
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
        ("ang20170323t202244_rdn_v2z4_clip", "ang20170323t202244_obs_ort_v1a1_clip"),
        ("AV320231008t155314_000_L1B_RDN_1a2b3c4d_RDN.nc", "AV320231008t155314_000_L1B_ORT_8827d962_OBS.nc"),
        ("f130503t01p00r09rdn_b_sc01_ort_img", "f130503t01p00r09_obs_ort"),
        ("EMIT_L1B_RAD_001_20240203T040506_x.img", "emit20240203t040506_l1b_obs.img"),
        ("SCENE_RDN.IMG", "SCENE_OBS.IMG"),
        ("Scene_Rad.img", "Scene_Obs.img"),
        ("granule_radiance", "granule_obs"),
        ("scene_rad.tif", "scene_obs.tif"),
        ("a_rdn.img", "a_obs.hdr"),
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


SPELLED = {
    "hyphens": lambda name: name.replace(" ", "-"),
    "underscores": lambda name: name.replace(" ", "_").replace("-", "_"),
    "capitals": str.upper,
    "small and close": lambda name: name.lower().replace(" ", "").replace("-", ""),
    "of a tool": lambda name: f"Resize ({name.split(' (')[0]}:ang_obs)",
    "quoted": lambda name: f'"{name}"',
}


@pytest.mark.parametrize("spelling", SPELLED)
def test_spelling_does_not_change_a_name(tmp_path, spelling):
    data = arrays()
    shuffled = np.roll(np.arange(11), 3)
    rad, _ = write_emit(tmp_path, data)
    names = ", ".join(SPELLED[spelling](OBS_NAMES[i]) for i in shuffled)
    write_envi(tmp_path / "obs", data.obs[..., shuffled], fields={"band names": f"{{{names}}}"})
    scene = open_scene(rad, tmp_path / "obs")
    assert (scene.sun_zenith_band, scene.earth_sun_band) == ((4 + 3) % 11, (10 + 3) % 11)


NUMBERED = ["Band {}", "B{:02d}", "Layer {}", "obs:Band {}", "Resize (Band {}:ang2017_obs)", "{}", "Band", "band_{}"]


@pytest.mark.parametrize("pattern", NUMBERED)
def test_names_that_only_count_are_as_good_as_none(tmp_path, pattern):
    rad, _ = write_emit(tmp_path, arrays())
    names = ", ".join(pattern.format(i + 1) for i in range(11))
    write_envi(tmp_path / "obs", arrays().obs, fields={"band names": f"{{{names}}}"})
    scene = open_scene(rad, tmp_path / "obs")
    assert (scene.sun_zenith_band, scene.earth_sun_band) == (4, 10)


@pytest.mark.parametrize(
    "names", [[f"Band {i}" for i in range(11, 0, -1)], [f"Quantity {letter}" for letter in "abcdefghijk"]]
)
def test_names_in_another_order_or_of_something_are_not_passed_over(tmp_path, names):
    rad, _ = write_emit(tmp_path, arrays())
    write_envi(tmp_path / "obs", arrays().obs, fields={"band names": f"{{{', '.join(names)}}}"})
    with pytest.raises(InputError, match="has 11 bands, none named 'To-sun zenith'"):
        open_scene(rad, tmp_path / "obs")


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


@pytest.mark.parametrize("fill", [0.0, -50.0, np.nan, -9999.0])
@pytest.mark.parametrize("declared", [{}, {"data ignore value": "-9999"}])
def test_pixels_outside_a_look_up_table_have_no_sun_and_no_distance(tmp_path, fill, declared):
    data = arrays()
    data.obs[:2], data.obs[:, 4] = fill, fill
    rad, _ = write_emit(tmp_path, data)
    write_envi(tmp_path / "obs", data.obs, fields=obs_fields() | declared)
    scene = open_scene(rad, tmp_path / "obs")
    assert scene.earth_sun_au == pytest.approx(1.01, rel=1e-6)
    none = np.zeros((7, 5), bool)
    none[:2], none[:, 4] = True, True
    assert np.isnan(scene.read_sun_zenith_deg(0, 7)).tolist() == none.tolist()


def test_geometry_in_scaled_integers_is_that_of_floats(tmp_path):
    data = arrays()
    rad, _ = write_emit(tmp_path, data)
    stored = np.rint(data.obs * 1000)
    stored[0] = 0
    gains = {"data gain values": "{" + "0.001, " * 11 + "}"}
    write_envi(tmp_path / "obs", stored, dtype="<i4", fields=obs_fields() | gains)
    scene = open_scene(rad, tmp_path / "obs")
    assert scene.earth_sun_au == pytest.approx(1.01, abs=1e-3)
    assert np.isnan(scene.read_sun_zenith_deg(0, 1)).all()
    np.testing.assert_allclose(scene.read_sun_zenith_deg(1, 7), data.obs[1:, :, 4], atol=1e-3)


@pytest.mark.parametrize("distance", [0.0, -1.0])
def test_a_sun_without_any_distance_is_refused(tmp_path, distance):
    data = arrays()
    data.obs[..., 10] = distance
    with pytest.raises(InputError, match="Earth–Sun distance is 0, not close to 1 AU"):
        _ = open_scene(*write_emit(tmp_path, data)).earth_sun_au


def test_a_scene_without_any_geometry_has_no_distance(tmp_path):
    data = arrays()
    data.obs[:] = 0
    scene = open_scene(*write_emit(tmp_path, data))
    assert np.isnan(scene.earth_sun_au)


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
    with pytest.raises(InputError, match="11 band names for 3 bands, so none tells which is 'to-sun zenith'"):
        open_scene(rad, tmp_path / "obs")


def test_names_that_a_comma_parts_are_not_counted_through(tmp_path):
    names = ", ".join(["Path, length", *OBS_NAMES[1:]])
    rad, _ = write_emit(tmp_path, arrays())
    write_envi(tmp_path / "obs", arrays().obs, fields={"band names": f"{{{names}}}"})
    with pytest.raises(InputError, match="12 band names for 11 bands"):
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
    noise = tmp_path / "noise.nc"
    noise.write_bytes(bytes(range(256)))
    plain = tmp_path / "plain.img"
    shutil.copy(text, plain)
    for path, message in (
        (tmp_path, "is a folder"),
        (tmp_path / "absent.nc", "does not exist"),
        (text, "is a text, not a scene"),
        (noise, "is not a netCDF-4/HDF5 file"),
        (plain, "neither an EMIT netCDF nor an ENVI"),
    ):
        with pytest.raises(InputError, match=message):
            open_scene(path, obs)


GOOD_NAMES = {
    "classic.nc": (b"CDF\x01" + bytes(99), "netCDF-3 .classic. file.*nccopy"),
    "offsets.nc": (b"CDF\x02" + bytes(99), "netCDF-3 .classic. file.*nccopy"),
    "old.hdf": (b"\x0e\x03\x13\x01" + bytes(99), "HDF4 file.*h4toh5"),
    "packed.nc": (b"\x1f\x8b\x08\0" + bytes(99), "gzip archive.*unpack"),
    "EMIT_L1B_RAD_x.zip": (b"PK\x03\x04" + bytes(99), "zip archive.*unpack"),
    "scene.tar": (bytes(257) + b"ustar\0" + bytes(99), "tar archive.*unpack"),
    "login.nc": (b"\n<!DOCTYPE HTML><html lang=en>", "web page.*log in"),
    "told.nc": (b"HTTP Basic: Access denied.\n", "is a text.*log in"),
    "errors.h5": (b'[{"error": "expired"}]', "is a text.*log in"),
    "refused.nc": (b'{\n  "error": "401 Unauthorized"}', "JSON text.*log in"),
    "denied.nc": (b"\xef\xbb\xbf<?xml version='1.0'?><Error><Code>AccessDenied", "XML text.*log in"),
    "pointer.nc": (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer.*git lfs pull"),
    "picture.png": (b"\x89PNG\r\n\x1a\n" + bytes(99), "PNG picture"),
}


@pytest.mark.parametrize("name", GOOD_NAMES)
def test_files_of_another_kind_are_named_rightly(tmp_path, name):
    content, message = GOOD_NAMES[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        open_cube(tmp_path / name)
    assert "download it again" not in str(caught.value)  # it would be the same again


@pytest.mark.parametrize("content", [b"", b"\0" * 1000])
def test_a_file_without_a_beginning_is_downloaded_again(tmp_path, content):
    (tmp_path / "granule.nc").write_bytes(content)
    with pytest.raises(InputError, match="download"):
        open_cube(tmp_path / "granule.nc")


ADDRESSES = [
    "s3://lp-prod-protected/EMITL1BRAD.001/EMIT_L1B_RAD_001_x.nc",
    "https://data.example/a/EMIT_L1B_RAD_001_x.nc",
    "http://data.example:8080/x.hdr",
    "gs://bucket/x.nc",
    "/vsicurl/https://data.example/x.nc",
    "/vsis3/bucket/x.nc",
]


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_is_repeated_as_typed(tmp_path, capsys, address):
    with pytest.raises(InputError) as caught:
        open_scene(address)
    assert str(caught.value).startswith(f"{address} is an address; download it")
    assert main(["deploy-pt", str(tmp_path / "m.tif"), address]) == 3
    error = capsys.readouterr().err
    assert address in error and "deploy-many" in error and error.count("\n") == 1


@pytest.mark.parametrize("path", ["folder/absent.nc", "C:/scenes/absent.nc", "odd:name.nc"])
def test_a_path_is_not_taken_for_an_address(path):
    with pytest.raises(InputError, match="does not exist"):
        open_scene(path)
