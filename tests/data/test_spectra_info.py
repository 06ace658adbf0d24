from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from spectra_files import make_rows, names, write_hdf5

import spectf_cloud as sc
from spectf_cloud.__main__ import main
from spectf_cloud.data.spectra_info import describe
from spectf_cloud.products.figures.chart import Chart, Frame, Line, ticks
from spectf_cloud.products.figures.svg import to_svg


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setenv("SPECTF_CACHE_DIR", str(tmp_path / "cache"))
    return write_hdf5(tmp_path / "spectra.h5", make_rows())


def test_counts_are_those_of_the_labels(path):
    rows = make_rows()
    found = describe(sc.open_spectra(path))
    assert [found.clear, found.cloud, found.shadow] == np.bincount(rows["labels"]).tolist()
    assert [scene[0] for scene in found.scenes] == names(rows)
    assert sum(sum(scene[1:]) for scene in found.scenes) == found.spectra == 240


def test_info_and_split_commands(path, tmp_path, capsys):
    plot = tmp_path / "plot.png"
    assert main(["dataset", "info", str(path), "--plot", str(plot)]) == 0
    assert "240 spectra of 6 scenes, 24 bands" in capsys.readouterr().out
    image = np.asarray(Image.open(plot).convert("RGB"))
    assert len(np.unique(image.reshape(-1, 3), axis=0)) > 20
    assert main(["dataset", "info", str(path), "--plot", str(path), "--overwrite"]) == 1  # never over the input
    csvs = ["--train-csv", str(tmp_path / "a.csv"), "--test-csv", str(tmp_path / "b.csv"), "--test-fraction", "0.3"]
    assert main(["dataset", "split", str(path), *csvs, "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["test"] == 2
    sides = [(tmp_path / name).read_text().split() for name in ("a.csv", "b.csv")]
    assert sorted(sides[0] + sides[1]) == names(make_rows())


def test_charts_put_data_where_the_axes_say():
    line = Line("a", [0, 1, 2, 3], [0.0, 10.0, float("nan"), 5.0])
    frame = Frame(Chart("t", "x", "y", [line], y_limits=(0, 10)))
    assert (frame.x(0), frame.x(3)) == (frame.left, frame.right)
    assert (frame.y(0), frame.y(10)) == (frame.bottom, frame.top)
    assert [len(piece) for piece in frame.pieces(line)] == [2, 1]
    assert ticks((0, 1)) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert ticks((381, 2493)) == [500, 1000, 1500, 2000]
    svg = to_svg(Chart("a < b", "x", "y", [line, Line("b", [1], [2], "dots"), Line("c", [1, 2], [2, 3], "bars")]))
    assert "a &lt; b" in svg and svg.count("<polyline") == 2 and "nan" not in svg
