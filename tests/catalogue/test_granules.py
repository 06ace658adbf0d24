import random
from pathlib import Path

import pytest

from spectf_cloud.catalogue.granules import Granule, acquired, is_granule_file, pair, read_name

from archives import write_granule

RAD = "EMIT_L1B_RAD_001_20230418T211703_2310814_001.nc"
OBS = "EMIT_L1B_OBS_001_20230418T211703_2310814_001.nc"
ID = "emit20230418t211703"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (RAD, (ID, "radiance")),
        (f"/data/{OBS}", (ID, "observation")),
        ("EMIT_L1B_RAD_002_20230418T211703.nc", (ID, "radiance")),
        ("emit20230418t211703_o10814_s001_l1b_rdn_b0106_v01.img", (ID, "radiance")),
        ("emit20230418t211703_o10814_s001_l1b_obs_b0106_v01.hdr", (ID, "observation")),
        (f"https://host/store/{RAD}?token=a/b_obs.nc", (ID, "radiance")),
        ("ang20170323t202244_rdn_7000-7010", ("ang20170323t202244_7000-7010", "radiance")),
        ("ang20170323t202244_obs_7000-7010.hdr", ("ang20170323t202244_7000-7010", "observation")),
        ("scene_rdn.img", ("scene", "radiance")),
        ("EMIT_L2A_RFL_001_20230418T211703_2310814_001.nc", None),
        ("emit20230418t211703_o10814_s001_l1b_loc_b0106_v01.img", None),
        ("notes.txt", None),
        ("gradient.nc", None),
    ],
)
def test_names_tell_granule_and_kind(name, expected):
    found = read_name(name)
    assert (found and (found.id, found.kind)) == expected


def test_a_time_that_is_none_is_no_time():
    assert acquired(ID).isoformat() == "2023-04-18T21:17:03+00:00"
    assert acquired("emit20231318t211703") is None
    assert acquired("scene") is None


def test_order_does_not_matter_and_each_granule_comes_once():
    offers = [f"a/{RAD}", f"a/{OBS}", f"b/{RAD}", "c/scene_rdn.img", "c/scene_rdn.hdr", "d/scene_obs.hdr"]
    for seed in range(20):
        shuffled = offers.copy()
        random.Random(seed).shuffle(shuffled)
        found = pair(shuffled)
        assert [granule.id for granule in found.granules] == [ID, "scene"]
        assert [granule.observation for granule in found.granules] == [f"a/{OBS}", "d/scene_obs.hdr"]
        assert len(found.repeated) == 1
        assert Path(found.repeated[0]).name == RAD


def test_geometry_of_the_same_folder_is_preferred():
    found = pair([f"b/{OBS}", f"a/{OBS}", f"a/{RAD}"])
    assert found.granules == (Granule(ID, f"a/{RAD}", f"a/{OBS}"),)


def test_geometry_is_looked_for_beside_the_radiance(tmp_path):
    radiance = write_granule(tmp_path, 0)
    assert pair([str(radiance)]).granules[0].observation == str(radiance).replace("RAD", "OBS")
    assert pair(["nowhere_rdn.hdr"]).granules[0].observation is None


def test_in_a_folder_the_header_stands_for_its_data(tmp_path):
    data = write_granule(tmp_path, 1, envi=True)
    assert not is_granule_file(data)
    assert is_granule_file(data.with_name(data.name + ".hdr"))
    data.with_name(data.name + ".hdr").unlink()
    assert is_granule_file(data)
    assert not is_granule_file(tmp_path / "scene_rdn.txt")
