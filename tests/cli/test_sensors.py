"""`sensors` as a user calls it."""

import json

import pytest

from spectf_cloud.__main__ import main
from spectf_cloud.sensors import find_sensor, names

from scene_files import arrays, wavelength_fields, write_tiff


def event(capsys):
    return json.loads(capsys.readouterr().out)


def test_list_shows_every_sensor(capsys):
    assert main(["sensors", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(names()) and max(map(len, lines)) <= 120
    assert main(["sensors", "list", "--json"]) == 0
    rows = event(capsys)["sensors"]
    assert [row["name"] for row in rows] == list(names())
    assert rows[0]["bands"] == 13 and rows[0]["first_nm"] == 442.7


def test_what_is_shown_can_be_given_again(tmp_path, capsys):
    assert main(["sensors", "show", "landsat 8"]) == 0
    path = tmp_path / "mine.yml"
    path.write_text(capsys.readouterr().out)
    assert find_sensor(path).wavelength_nm.tolist() == find_sensor("L8").wavelength_nm.tolist()
    assert main(["sensors", "show", str(path), "--json"]) == 0
    shown = event(capsys)["sensor"]
    assert shown["name"] == "LANDSAT8" and shown["bands"][0] == {
        "name": "B1", "centre_nm": 442.96, "fwhm_nm": 15.98, "gsd_m": 30,
    }  # fmt: skip


def test_match_ranks_sensors(tmp_path, capsys):
    path = tmp_path / "camera.yml"
    path.write_text("like: S2A\n")
    assert main(["sensors", "match", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "13 bands, 443–2202 nm" in lines[0]
    assert lines[1].split()[:6] == ["SENTINEL2A", "13", "of", "the", "file's", "13"]
    assert main(["sensors", "match", str(path), "--json", "--tolerance", "0.5"]) == 0
    found = event(capsys)["matches"]
    assert found[0]["name"] == "SENTINEL2A" and found[0]["share"] == 1 and found[0]["absent"] == []
    far = tmp_path / "far.yml"
    far.write_text("bands: [{centre_nm: 3000, fwhm_nm: 100}, {centre_nm: 3500, fwhm_nm: 100}]\n")
    assert main(["sensors", "match", str(far)]) == 0
    assert "no known sensor has a band within 10 nm" in capsys.readouterr().out


def test_match_reads_a_tiff(tmp_path, capsys):
    path = write_tiff(tmp_path / "scene.tif", arrays().radiance, fields=wavelength_fields())
    assert main(["sensors", "match", str(path), "--json"]) == 0
    assert event(capsys)["bands"] == 12


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (["show", "sentinel-2x"], 2, "close are SENTINEL2"),
        (["match", "gone.tif"], 3, "gone.tif is not a file"),
        (["match", "bare.tif"], 3, "bare.tif has no wavelengths"),
        (["match", "odd.yml"], 2, "odd.yml: the key 'bandz' is not known"),
    ],
)
def test_what_is_wrong_takes_one_line(tmp_path, monkeypatch, capsys, words, code, why):
    monkeypatch.chdir(tmp_path)
    write_tiff(tmp_path / "bare.tif", arrays().radiance)
    (tmp_path / "odd.yml").write_text("bandz: []\n")
    assert main(["sensors", *words]) == code
    error = capsys.readouterr().err
    assert why in error and error.count("\n") == 1
