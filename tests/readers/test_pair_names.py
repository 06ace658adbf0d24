"""File names of real deliveries: what they hold, and which two are of one scene."""

from pathlib import Path

import numpy as np
import pytest

from spectf_cloud.dataset import find_observation, open_scene
from spectf_cloud.errors import InputError
from spectf_cloud.readers.names import likeness, read_name

from scene_files import arrays, obs_fields, wavelength_fields, write_envi

NG = "ang20170323t202244"
AV3 = "AV320230418t211703"
CLASSIC = "f130503t01p00r09"
EMIT = "20230418T211703"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (f"{AV3}_L1B_RDN_main_3f4aef90_RDN_ORT", "radiance"),
        (f"{AV3}_L1B_ORT_main_3f4aef90_OBS_ORT.hdr", "observation"),
        (f"{AV3}_003_L1B_ORT_55901fd4_OBS.nc", "observation"),
        (f"{AV3}_003_L1B_RDN_55901fd4_BANDMASK.nc", "other"),
        (f"{AV3}_L1B_ORT_main_3f4aef90_LOC_ORT", "other"),
        (f"{NG}_rdn_v2p9_img", "radiance"),
        (f"{NG}_rdn_obs_ort", "observation"),
        (f"{NG}_rdn_glt.hdr", "other"),
        (f"{NG}_rfl_v2p9_img", "other"),
        (f"{CLASSIC}rdn_c_sc01_ort_img", "radiance"),
        (f"{CLASSIC}rdn_c_obs_ort.hdr", "observation"),
        (f"{CLASSIC}rdn_c_ort_igm", "other"),
        (f"EMIT_L1B_RAD_001_{EMIT}_2310814_001_radiance_ORT.hdr", "radiance"),
        (f"EMIT_L1B_OBS_002_{EMIT}.NC", "observation"),
        ("SISTER_AVNG_L1B_RDN_20220502T180901_001_OBS.bin", "observation"),
        ("scene_rdn.bsq.hdr", "radiance"),
        ("flight01_observation.img", "observation"),
        ("observations.nc", None),
        ("observatory.nc", None),
        ("gradient_2024.nc", None),
    ],
)
def test_a_name_says_what_the_file_holds(name, kind):
    found = read_name(name)
    assert (found and found.kind) == kind


PAIRS = [
    (f"{AV3}_L1B_RDN_main_3f4aef90_RDN_ORT", f"{AV3}_L1B_ORT_main_3f4aef90_OBS_ORT"),
    (f"{AV3}_003_L1B_RDN_3f4aef90_RDN.nc", f"{AV3}_003_L1B_ORT_55901fd4_OBS.nc"),
    (f"{NG}_rdn_v2p9_img", f"{NG}_obs_ort"),
    (f"{NG}_rdn_v2p9_img", f"{NG}_rdn_v2p11_obs_ort_newoffset"),
    (f"{NG}_rdn_7000-7010", f"{NG}_obs_7000-7010"),
    (f"{CLASSIC}rdn_c_sc01_ort_img", f"{CLASSIC}rdn_c_obs_ort"),
    (f"{CLASSIC}_rdn_e_sc01_ort_img", f"{CLASSIC}_obs_ort"),
    ("prm20230416t213508_L1B_RDN_main_b78fd43e_RDN", "prm20230416t213508_L1B_ORT_main_b78fd43e_OBS"),
    (f"EMIT_L1B_RAD_002_{EMIT}.nc", f"EMIT_L1B_OBS_001_{EMIT}_2310814_001.nc"),
    (f"emit{EMIT.lower()}_o10814_s000_l1b_rdn_b0106_v01.img", f"emit{EMIT.lower()}_o10814_s000_l1b_obs_b0106_v01.img"),
    ("EMIT_L1B_RAD_001_20230418T211703_2310814_001.NC", "EMIT_L1B_OBS_001_20230418T211703_2310814_001.NC"),
    ("day_rdn.img", "day_obs.img"),
    ("flight01_radiance.img", "flight01_observation.img"),
    ("RDN_flight1.dat", "OBS_flight1.dat"),
]


@pytest.mark.parametrize(("radiance", "observation"), PAIRS)
def test_two_names_of_one_scene_fit(tmp_path, radiance, observation):
    assert likeness(read_name(radiance), read_name(observation)) is not None
    for name in (radiance, observation):
        (tmp_path / name).touch()
    assert find_observation(tmp_path / radiance) == tmp_path / observation


@pytest.mark.parametrize(
    ("radiance", "observation"),
    [
        (f"{AV3}_003_L1B_RDN_3f4aef90_RDN.nc", f"{AV3}_004_L1B_ORT_3f4aef90_OBS.nc"),
        (f"{NG}_rdn_7000-7010", f"{NG}_obs_8000-8010"),
        (f"{NG}_rdn_v2p9_img", "ang20170323t202245_obs_ort"),
        (f"{CLASSIC}rdn_c_sc01_ort_img", f"{CLASSIC[:-1]}8rdn_c_obs_ort"),
        (f"{CLASSIC}rdn_c_sc01_ort_img", f"{CLASSIC}rdn_c_sc02_obs_ort"),
        ("day_a_rdn.img", "day_b_obs.img"),
        ("day_rdn.img", "day_2_obs.img"),
        ("day20240101t101010_a_rdn.img", "day20240101t101010_b_obs.img"),
    ],
)
def test_names_of_different_scenes_do_not(tmp_path, radiance, observation):
    assert likeness(read_name(radiance), read_name(observation)) is None
    for name in (radiance, observation):
        (tmp_path / name).touch()
    with pytest.raises(InputError, match="no matching OBS"):
        find_observation(tmp_path / radiance)


def write_cube(path, kind, lines=7):
    data = arrays(lines=lines)
    path.parent.mkdir(exist_ok=True)
    fields = wavelength_fields() if kind == "radiance" else obs_fields()
    write_envi(path, getattr(data, kind), fields=fields, dtype="<f4")
    return path


@pytest.mark.parametrize(
    ("folder", "sister"),
    [
        (f"{NG}_rdn_v2p9", f"{NG}_obs_v2p9"),
        ("L1B_RDN", "L1B_ORT"),
        ("radiance", "OBS"),
        (f"{AV3}_L1B_RDN_3f4aef90_RDN", f"{AV3}_L1B_ORT_55901fd4_OBS"),
    ],
)
def test_geometry_in_a_sister_folder_is_found(tmp_path, folder, sister):
    radiance = write_cube(tmp_path / folder / f"{NG}_rdn_v2p9_img", "radiance")
    observation = write_cube(tmp_path / sister / f"{NG}_obs_ort", "obs")
    if folder.startswith(AV3):
        radiance, observation = (
            path.rename(path.with_name(name)) for path, name in ((radiance, f"{AV3}_RDN"), (observation, f"{AV3}_OBS"))
        )
    assert find_observation(radiance) == observation


def test_geometry_in_an_unrelated_folder_is_not_taken(tmp_path):
    radiance = write_cube(tmp_path / "mine" / "day_rdn", "radiance")
    write_cube(tmp_path / "an_obs_of_others" / "day_obs", "obs")
    with pytest.raises(InputError, match="no matching OBS"):
        find_observation(radiance)


def test_of_two_grids_the_one_of_the_radiances_size_is_taken(tmp_path):
    radiance = write_cube(tmp_path / f"{NG}_rdn_v2p9_img", "radiance", lines=9)
    write_cube(tmp_path / f"{NG}_rdn_obs", "obs", lines=7)
    mapped = write_cube(tmp_path / f"{NG}_rdn_obs_ort", "obs", lines=9)
    assert find_observation(radiance) == mapped
    np.testing.assert_array_equal(open_scene(radiance).read_sun_zenith_deg(0, 9), arrays(lines=9).obs[..., 4])


def test_two_that_fit_alike_are_named_not_guessed(tmp_path):
    radiance = write_cube(tmp_path / f"{AV3}_L1B_RDN_3f4aef90_RDN", "radiance")
    for checksum in ("55901fd4", "66a01fd4"):
        write_cube(tmp_path / f"{AV3}_L1B_ORT_{checksum}_OBS", "obs")
    with pytest.raises(InputError, match=r"55901fd4_OBS or .*66a01fd4_OBS; name one"):
        find_observation(radiance)


def test_without_one_of_its_size_the_message_names_both_sizes(tmp_path):
    radiance = write_cube(tmp_path / f"{NG}_rdn_v2p9_img", "radiance", lines=9)
    write_cube(tmp_path / f"{NG}_rdn_obs", "obs", lines=7)
    write_cube(tmp_path / f"{NG}_rdn_obs_ort", "obs", lines=8)
    with pytest.raises(InputError, match=r"9 lines x 5 samples but .* is 7 x 5"):
        open_scene(radiance)


def test_a_folder_that_may_not_be_listed_offers_nothing(tmp_path):
    with pytest.raises(InputError, match="no matching OBS"):
        find_observation(Path(tmp_path / "absent" / "day_rdn.img"))
