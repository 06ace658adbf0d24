"""Lists and folders as people hand them over."""

from pathlib import Path

import pytest

from spectf_cloud.catalogue.granules import Granule
from spectf_cloud.catalogue.inputs import find_granules
from spectf_cloud.catalogue.search import Search
from spectf_cloud.errors import InputError

from archives import granule_id, write_granule
from scene_files import arrays, write_envi_scene

RADIANCE = Path("day/EMIT_L1B_RAD_001_20240201T040506_2403400_007.nc")
OBSERVATION = Path("day/EMIT_L1B_OBS_001_20240201T040506_2403400_007.nc")
ADDRESS = "https://example.org/x_rdn.nc?key=1,2;3"


def granules(*sources):
    return find_granules([str(source) for source in sources], Search()).granules


@pytest.fixture
def day(tmp_path):
    write_granule(tmp_path / "day", 0)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("l.csv", f"radiance;observation\r\n{RADIANCE};{OBSERVATION}\r\n"),
        ("l.csv", f"{RADIANCE};{OBSERVATION}\n"),
        ("l.csv", f"{RADIANCE}\t{OBSERVATION}\n"),
        ("l.csv", f'sep=;\r\n"{RADIANCE}";"{OBSERVATION}"\r\n'),
        ("l.CSV", f"Radiance,Cloud,Observation\n{RADIANCE},12,{OBSERVATION}\n"),
        ("l.csv", f"cloud;OBS;RDN\n12,5;{OBSERVATION};{RADIANCE}\n"),
        ("l.csv", f'# mine\n\n"radiance" , "observation"\n  # and yours\n"{RADIANCE}", "{OBSERVATION}"\n,,\n'),
        ("l.tsv", f"radiance\tobservation\n{RADIANCE}\t{OBSERVATION}\n"),
        ("l.txt", f"{RADIANCE}\t{OBSERVATION}\n"),
        ("l.txt", f"{RADIANCE};{OBSERVATION}\r\n"),
        ("l.TXT", f'"{RADIANCE}"\r\n'),
    ],
)  # fmt: skip
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_list_is_read_whatever_wrote_it(day, name, content, encoding):
    (day / name).write_bytes(content.encode(encoding))
    assert granules(day / name) == (Granule(granule_id(0), str(day / RADIANCE), str(day / OBSERVATION)),)


def test_rows_may_lack_their_observation(day):
    write_granule(day / "day", 1)
    (day / "l.csv").write_text(
        f"{RADIANCE};{OBSERVATION}\n{str(RADIANCE).replace('0201T', '0202T').replace('00_', '01_')}\n"
    )
    assert [granule.id for granule in granules(day / "l.csv")] == [granule_id(0), granule_id(1)]


def test_names_with_separators_stay_whole_in_a_text_list(tmp_path):
    (tmp_path / "a;b").mkdir()
    radiance = write_granule(tmp_path / "a;b", 0)
    (tmp_path / "l.txt").write_text(f"a;b/{radiance.name}\n{ADDRESS}\n")
    found = {granule.radiance for granule in granules(tmp_path / "l.txt")}
    assert found == {str(radiance), ADDRESS}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("file;geometry\na_rdn.nc;a_obs.nc\n", r"first row names neither a file nor the column 'radiance' \(file"),
        ("granule\nday/x_rdn.nc\n", r"neither a file nor the column 'radiance' \(granule\)"),
        ("observation\nday/x_obs.nc\n", "neither a file nor the column"),
        ("radiance,observation\n,day/x_obs.nc\n", r"row 2: no radiance file"),
        ("# nothing\n\n", "names no granule"),
        ("radiance,observation\n", "names no granule"),
        ("day/x_rdn.nc\ns3://bucket/y_rdn.nc\n", r"row 2: s3://bucket/y_rdn.nc: s3:// is not supported; give .*https://"),
        ("gs://bucket/y_rdn.nc,gs://bucket/y_obs.nc\n", r"row 1: .*gs:// is not supported"),
    ],
)  # fmt: skip
def test_what_a_list_lacks_is_said_before_any_scene(tmp_path, content, message):
    (tmp_path / "l.csv").write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        granules(tmp_path / "l.csv")
    assert str(tmp_path / "l.csv") in str(caught.value)


def test_a_list_in_another_encoding_is_named(tmp_path):
    (tmp_path / "l.csv").write_bytes("Überflug_rdn.nc".encode("cp1252"))
    with pytest.raises(InputError, match="not UTF-8 text"):
        granules(tmp_path / "l.csv")


@pytest.mark.parametrize("scheme", ["s3", "gs", "ftp"])
def test_addresses_that_nothing_is_fetched_from_are_named(scheme):
    with pytest.raises(InputError, match=rf"^{scheme}://b/x_rdn.nc: {scheme}:// is not supported; give .* https://"):
        granules(f"{scheme}://b/x_rdn.nc")


def test_a_file_address_is_a_path(day):
    assert granules((day / RADIANCE).as_uri()) == granules(day / RADIANCE)


def test_paths_are_absolute_wherever_the_run_was_started(day, monkeypatch):
    monkeypatch.chdir(day)
    expected = granules(day)
    assert granules("day") == granules(".") == granules("day/*.nc") == granules(RADIANCE) == expected
    assert Path(expected[0].radiance).is_absolute()


def test_links_are_followed_and_each_folder_looked_into_once(day):
    linked = day / "linked"
    linked.mkdir()
    (linked / "a").symlink_to(day / "day", target_is_directory=True)
    (linked / "b").symlink_to(day / "day", target_is_directory=True)
    (linked / "up").symlink_to(linked, target_is_directory=True)
    (day / "day" / "back").symlink_to(linked, target_is_directory=True)
    (linked / "broken").symlink_to(day / "gone")
    for source in (linked, f"{linked}/*", f"{linked}/**/*.nc", f"{day}/**/*RAD*"):
        found = find_granules([str(source)], Search())
        assert [granule.id for granule in found.granules] == [granule_id(0)]
        assert not found.repeated


def test_a_linked_file_is_its_file(day):
    (day / "more").mkdir()
    (day / "more" / RADIANCE.name).symlink_to(day / RADIANCE)
    found = find_granules([str(day)], Search())
    assert (len(found.granules), found.repeated) == (1, ())
    assert found.granules[0].observation == str(day / OBSERVATION)


def test_a_folder_that_may_not_be_read_is_named(day, caplog, monkeypatch):
    def scandir(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    import os

    real = os.scandir
    (day / "closed").mkdir()
    monkeypatch.setattr("os.scandir", scandir)
    assert len(granules(day)) == 1
    assert "closed is left out, as it cannot be read: Permission denied" in caplog.text


@pytest.mark.parametrize(
    ("radiance", "observation"),
    [
        ("AV320230418t211703_L1B_RDN_main_3f4aef90_RDN_ORT", "AV320230418t211703_L1B_ORT_main_55901fd4_OBS_ORT"),
        ("AV520240916t184700_003_L1B_RDN_3f4aef90_RDN", "AV520240916t184700_003_L1B_ORT_55901fd4_OBS"),
        ("f130503t01p00r09rdn_c_sc01_ort_img", "f130503t01p00r09rdn_c_obs_ort"),
        ("ang20170323t202244_rdn_v2p9_img", "ang20170323t202244_rdn_obs_ort"),
    ],
)
@pytest.mark.parametrize("apart", [False, True])
def test_airborne_deliveries_pair_in_folders(tmp_path, radiance, observation, apart):
    (tmp_path / "in" / "rdn").mkdir(parents=True)
    (tmp_path / "in" / "obs").mkdir()
    files = dict(zip((radiance, observation), write_envi_scene(tmp_path, arrays()), strict=True))
    folders = ("rdn", "obs" if apart else "rdn")
    for (name, file), folder in zip(files.items(), folders, strict=True):
        file.rename(tmp_path / "in" / folder / name)
        file.with_name(file.name + ".hdr").rename(tmp_path / "in" / folder / f"{name}.hdr")
    for other in ("_LOC_ORT", "_glt", "_igm"):
        (tmp_path / "in" / "rdn" / f"{radiance.split('_')[0]}{other}.hdr").touch()
    (granule,) = granules(tmp_path / "in")
    place = tmp_path / "in"
    assert granule.radiance == str(place / "rdn" / f"{radiance}.hdr")
    assert granule.observation in [str(place / folders[1] / f"{observation}{end}") for end in ("", ".hdr")]
