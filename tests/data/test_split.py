from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectf_cloud.data.split import check_leakage, draw_scenes, read_fids
from spectf_cloud.errors import InputError, UsageError

KNOWN = ["emit20230101t100000", "emit20230101t100012", "emit20230102t110000"]


def test_a_csv_of_scenes_is_read_leniently(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("spectf_cloud"), "propagate", True)  # commands turn it off
    path = tmp_path / "f.csv"
    path.write_text('\ufeff"emit20230101t100000",x\r\n\r\nemit20230102t110000\nelsewhere\nemit20230102t110000\n')
    with caplog.at_level(logging.WARNING, "spectf_cloud"):
        assert read_fids(path, KNOWN) == [KNOWN[0], KNOWN[2]]
    assert "1 of 3 scenes are not in the data set" in caplog.text


def test_a_csv_that_matches_nothing_is_refused(tmp_path):
    path = tmp_path / "f.csv"
    for text in ("elsewhere\n", ""):
        path.write_text(text)
        with pytest.raises(InputError, match="none of its"):
            read_fids(path, KNOWN)
    with pytest.raises(InputError, match="cannot be read"):
        read_fids(tmp_path / "none.csv", KNOWN)


@given(st.integers(2, 60), st.floats(0.01, 0.99), st.integers(0, 5))
def test_drawn_scenes_part_the_whole(count, fraction, seed):
    fids = [f"s{number:02d}" for number in range(count)]
    rest, drawn = draw_scenes(fids, fraction, seed)
    assert sorted(rest + drawn) == fids and rest and drawn
    assert abs(len(drawn) - fraction * count) <= 1
    assert draw_scenes(fids[::-1], fraction, seed) == (rest, drawn)


def test_drawing_nothing_and_too_much():
    assert draw_scenes(["a"], 0, 0) == (["a"], [])
    with pytest.raises(UsageError, match="cannot be split"):
        draw_scenes(["a"], 0.5, 0)
    with pytest.raises(UsageError, match="fraction"):
        draw_scenes(["a", "b"], 1.0, 0)


def test_leakage_is_refused():
    check_leakage(KNOWN[:1], KNOWN[1:], "x")
    with pytest.raises(InputError, match="is in both"):
        check_leakage(KNOWN, KNOWN[2:], "x")


def test_neighbours_along_an_orbit_are_refused_when_asked():
    check_leakage(KNOWN[:2], KNOWN[2:], "x", min_gap_s=60)
    with pytest.raises(InputError, match="12 s apart"):
        check_leakage([KNOWN[0], KNOWN[2]], KNOWN[1:2], "x", min_gap_s=60)
    # Found across others of the same side that lie between.
    with pytest.raises(InputError, match="24 s apart"):
        check_leakage(["a20230101t100000"], ["b20230101t100024", "b20230101t100100"], "x", min_gap_s=30)
    with pytest.raises(InputError, match="no time in its name"):
        check_leakage(["plain"], KNOWN, "x", min_gap_s=30)
