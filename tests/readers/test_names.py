from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from spectf_cloud.readers.acquisition import acquired
from spectf_cloud.readers.names import address_of

T = datetime(2023, 4, 18, 21, 17, 3, tzinfo=UTC)
STYLES = {
    "EMIT_L1B_RAD_001_20230418T211703_2310814_001.nc": (T, None),
    "EMIT_L1B_OBS_002_20230418T211703.nc": (T, None),
    "emit20230418t211703_o10814_s000_l1b_rdn_b0106_v01.img": (T, None),
    "ang20230418t211703_rdn_v2z4_clip": (T, None),
    "AV320230418t211703_003_L1B_RDN_1a2b3c4d_RDN.nc": (T, "003"),
    "av320230418t211703_obs": (T, None),
    "scene_20230418T211703_001_rad.nc": (T, None),
    "ENMAP01-____L1B-DT0000002446_20230418T211703Z_001_V010110_20231208T112233Z": (T, None),
}


@pytest.mark.parametrize("name", STYLES)
def test_times_are_read_in_every_style(name):
    seen = acquired(name)
    assert (seen.time, seen.day, seen.run) == (STYLES[name][0], T.date(), STYLES[name][1])


@pytest.mark.parametrize(
    ("name", "day", "run"),
    [
        ("f130503t01p00r09rdn_e_sc01_ort_img", date(2013, 5, 3), "t01p00r09"),
        ("f130503t01p00r09_obs", date(2013, 5, 3), "t01p00r09"),
        ("F970620T01P02_R03_SC03.A.RDN", date(1997, 6, 20), "t01p02r03"),
    ],
)
def test_runs_of_classic_flights_are_read(name, day, run):
    seen = acquired(name)
    assert (seen.day, seen.run, seen.time) == (day, run, None)


@pytest.mark.parametrize(
    "name", ["scene_rdn.img", "x20231399t211703", "0123456720230418T211703", "f139903t01p00r09", ""]
)
def test_names_that_tell_nothing_tell_nothing(name):
    assert acquired(name) is None


def test_what_only_one_name_tells_is_no_contradiction():
    day, time, run = (acquired(n) for n in ("f230418t01p00r09_rdn", "ang20230418t211703_obs", "f230418t01p00r10_obs"))
    assert not day.contradicts(time) and day.contradicts(run)
    assert time.contradicts(acquired("ang20230418t211704_obs"))
    assert acquired("AV320230418t211703_003_L1B_RDN").contradicts(acquired("AV320230418t211703_004_L1B_ORT_OBS"))
    assert not acquired("AV320230418t211703_003_L1B_RDN").contradicts(acquired("av320230418t211703_obs"))


def test_addresses_get_their_slash_back():
    assert address_of(Path("s3://bucket/key with blanks/x.nc")) == "s3://bucket/key with blanks/x.nc"
    assert address_of(Path("file:///home/x.nc")) == "file:///home/x.nc"
    assert address_of(Path("folder/x.nc")) is None
