"""What the tree shows, and what is remembered between sessions."""

import json
from pathlib import Path

import pytest

from spectf_cloud.tui.granules import below, short_name, worth_showing
from spectf_cloud.tui.preferences import Preferences, Rate


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (["EMIT_L1B_RAD_001_x.nc", "EMIT_L1B_OBS_001_x.nc", "EMIT_L2A_MASK_001_x.nc"], ["EMIT_L1B_RAD_001_x.nc"]),
        (["ang1_rdn_v1", "ang1_rdn_v1.hdr", "ang1_obs_v1", "ang1_obs_v1.hdr", "ang1_loc.hdr"], ["ang1_rdn_v1.hdr"]),
        (["scene.img", "scene.hdr", "alone.hdr"], ["scene.hdr"]),
        (["x_prob.tif", "x.tif", "truth.tif", "notes.txt", ".hidden.nc"], ["x_prob.tif"]),
        (["x_mask.nc", "observatory.nc"], ["observatory.nc"]),
        (["A_RDN.IMG", "A_RDN.HDR", "A_OBS.IMG", "A_OBS.HDR", "X_RAD.NC"], ["A_RDN.HDR", "X_RAD.NC"]),
        (
            ["f130503t01p00r09rdn_c_obs_ort", "f130503t01p00r09rdn_c_obs_ort.hdr", "ang1_rdn_glt", "ang1_rdn_glt.hdr"],
            [],
        ),
    ],
)
def test_granules_and_probabilities_are_shown(names, shown):
    assert [path.name for path in worth_showing(map(Path, names))] == shown


def test_what_lies_below_a_folder_is_found_through_links_and_without_an_end(tmp_path, monkeypatch):
    for name in ("a/EMIT_L1B_RAD_001_x.nc", "a/b/ang_rdn.hdr", "a/b/ang_rdn", ".cache/c.nc", "other/d_prob.tif"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "a" / "linked").symlink_to(tmp_path / "other")
    (tmp_path / "a" / "b" / "back").symlink_to(tmp_path / "a")
    found = below(tmp_path / "a")
    assert [str(path.relative_to(tmp_path / "a")) for path in found.granules] == [
        "EMIT_L1B_RAD_001_x.nc",
        "b/ang_rdn.hdr",
    ]
    assert [path.name for path in found.probabilities] == ["d_prob.tif"]
    assert found.whole and len(below(tmp_path).granules) == 2
    monkeypatch.setattr("spectf_cloud.tui.granules._MAX_FOLDERS", 1)
    assert not below(tmp_path / "a").whole
    assert not below(tmp_path / "a", lambda: True).granules


def test_short_names_tell_granules_apart():
    assert short_name(Path("EMIT_L1B_RAD_001_20230418T211703_2310814_001.nc")) == "20230418T211703_2310814_001"
    assert short_name(Path("EMIT_L1B_RAD_001_20230418T211703_2310814_001_mask_prob.tif")).endswith("_001_mask")


def test_what_is_learnt_is_there_the_next_time(tmp_path):
    path = tmp_path / "deep" / "tui.json"
    first = Preferences.load(path)
    assert (first.tour_seen, first.rate("k")) == (False, None)
    first.tour_seen = True
    first.learn("k", Rate(200.0, 2.0, 5000))
    again = Preferences.load(path)
    assert again.tour_seen
    assert again.rate("k").seconds(1000) == 7.0


@pytest.mark.parametrize(
    "content", ["", "[]", "{", '{"rates": {"k": 3}}', '{"rates": {"k": {"pixels_per_s": 0}}}', '{"tour_seen": "no"}']
)
def test_a_damaged_memory_is_an_empty_one(tmp_path, content):
    path = tmp_path / "tui.json"
    path.write_text(content)
    found = Preferences.load(path)
    assert (found.tour_seen, found.rate("k")) == (False, None)
    found.learn("k", Rate(1.0, 0.0, 1))
    assert json.loads(path.read_text())["rates"]["k"]["pixels"] == 1


def test_a_memory_that_cannot_be_written_is_no_error(tmp_path):
    (tmp_path / "file").touch()
    Preferences.load(tmp_path / "file" / "tui.json").save()
