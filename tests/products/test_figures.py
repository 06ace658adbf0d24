"""Figures reopened: PNG decoded, SVG parsed as XML."""

from __future__ import annotations

import re
import sys
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from PIL import Image

from spectf_cloud.errors import MissingExtraError
from spectf_cloud.products.figures import COLOURS, Chart, Line, break_at_gaps, save_png, to_svg

SVG = "{http://www.w3.org/2000/svg}"


def chart(title="Loss", **options):
    lines = [
        Line("training", [1, 2, 3, 4], [0.9, np.nan, 0.4, 0.1], spread=([0.8] * 4, [1.0] * 4)),
        Line("_a $b$ <c>", [1, 2, 3, 4], [0.1, 0.2, 0.3, 0.4], "bars"),
        Line("best", [2.5], [0.6], "dots", "#000001"),
        Line("", [1, 4], [0, 1], "dashes"),
    ]
    return Chart(title, "epoch", "cross-entropy", lines, **options)


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB"))


def texts(svg):
    return ["".join(text.itertext()).strip() for text in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_png_holds_every_chart_in_its_colours(tmp_path):
    path = tmp_path / "a.png"
    save_png(path, [chart(), chart("Second"), chart("Third")])
    image = pixels(path)
    assert image.shape == (2 * 720, 2 * 920, 3)
    for part in (image[:720, :920], image[:720, 920:], image[720:, :920]):
        for colour in COLOURS[:2]:
            rgb = [int(colour[start : start + 2], 16) for start in (1, 3, 5)]
            assert (part == rgb).all(2).sum() > 100
    assert (image[720:, 920:] == 255).all()


def test_same_chart_same_bytes_whatever_style_is_set(tmp_path):
    save_png(tmp_path / "a.png", [chart()])
    svg = to_svg(chart())
    with matplotlib.rc_context({"lines.linewidth": 9, "font.size": 20, "axes.facecolor": "red", "svg.hashsalt": "x"}):
        save_png(tmp_path / "b.png", [chart()])
        assert to_svg(chart()) == svg
        assert matplotlib.rcParams["lines.linewidth"] == 9
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert not {"Software", "date:create"} & set(Image.open(tmp_path / "a.png").info)


def test_svg_is_xml_with_its_text_as_text():
    svg = to_svg(chart('Sweep: a < b & "c"'))
    root = ElementTree.fromstring(svg)
    assert root.get("role") == "img" and root.get("aria-label") == 'Sweep: a < b & "c"'
    assert {'Sweep: a < b & "c"', "epoch", "cross-entropy", "training", "_a $b$ <c>", "best"} <= set(texts(svg))
    assert "currentColor" in svg and "#1b1f24" not in svg and "<metadata" not in svg


def test_charts_of_one_page_share_no_id():
    ids = re.findall(r'\bid="([^"]+)"', to_svg(chart("a")) + to_svg(chart("b")))
    assert ids and len(ids) == len(set(ids))


def test_data_stand_where_the_axes_say():
    svg = to_svg(Chart("t", "x", "y", [Line("a", [0.2], [10.8], "dots")], (0, 1), (10, 11)))
    root = ElementTree.fromstring(svg)
    at = {"".join(text.itertext()).strip(): float(text.get("x")) for text in root.iter(f"{SVG}text")}
    dot, *_ = root.iter(f"{SVG}use")
    assert float(dot.get("x")) == pytest.approx(at["0.2"], abs=0.01)


def test_whole_numbers_are_counted_in_whole_numbers():
    for epochs in ([1.0], [1.0, 2.0, 3.0]):
        svg = to_svg(Chart("t", "epoch", "y", [Line("", epochs, epochs)], y_limits=(10, 20), whole_x=True))
        shown = [text for text in texts(svg) if re.fullmatch(r"[\d.]+", text) and float(text) < 10]
        assert shown == [f"{epoch:g}" for epoch in epochs]


@pytest.mark.parametrize("name", ["日本", "a\udcff", "a\x00\nb", "", "long " * 80], ids=repr)
@pytest.mark.filterwarnings("error")
def test_names_of_files_may_hold_anything(tmp_path, name):
    strange = Chart(name, "x", "y", [Line(name, [0, 1], [1, 2]), Line("n", [0, 1], [np.nan] * 2), Line("e", [], [])])
    save_png(tmp_path / "a.png", [strange])
    ElementTree.fromstring(to_svg(strange))


def test_lines_break_where_bands_are_missing_and_lone_bands_are_seen(tmp_path):
    nm = np.array([400.0, 410, 420, 600, 800, 810])
    x, y = break_at_gaps(nm, np.arange(6, dtype=np.int64))
    nan = np.nan
    np.testing.assert_array_equal(x, [400, 410, 420, nan, 600, nan, 800, 810])
    np.testing.assert_array_equal(y, [0, 1, 2, nan, 3, nan, 4, 5])
    assert [len(column) for column in break_at_gaps(nm[:1], nm[:1])] == [1, 1]
    counts = []
    for shown in (y, np.where(x == 600, nan, y)):
        save_png(tmp_path / "a.png", [Chart("", "", "", [Line("", x, shown)], y_limits=(0, 5))])
        counts.append((pixels(tmp_path / "a.png") == (0x00, 0x72, 0xB2)).all(2).sum())
    assert counts[0] > counts[1] + 50


def test_without_matplotlib_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(
        MissingExtraError, match=r"needs matplotlib; install it with: pip install 'spectf-cloud\[plots\]'"
    ):
        save_png(tmp_path / "a.png", [chart()])
    assert not list(tmp_path.iterdir())
