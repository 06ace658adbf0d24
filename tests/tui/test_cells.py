"""Pictures, curves and bars as cells, against pixels counted by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectf_cloud.products.panels import OUTLINE
from spectf_cloud.tui.cells import Frame, View, fitted, half_blocks, with_crosshair
from spectf_cloud.tui.plot import Curve, _Grid

BACKGROUND = (1, 2, 3)


def colours(strips):
    """(2 rows, columns, 3) as a terminal would show them."""
    rows = []
    for strip in strips:
        upper = [segment.style.color.triplet for segment in strip for _ in segment.text]
        lower = [segment.style.bgcolor.triplet for segment in strip for _ in segment.text]
        rows += [upper, lower]
    return np.array(rows, np.uint8)


def test_a_cell_shows_two_pixels():
    picture = np.random.default_rng(0).integers(0, 256, (4, 3, 3), np.uint8)
    frame = Frame(View(0, 0, 4, 3), 3, 2)
    np.testing.assert_array_equal(colours(half_blocks(picture, frame, BACKGROUND)), picture)


def test_a_picture_keeps_its_proportions_in_the_middle():
    frame = Frame(View(0, 0, 10, 10), 20, 3)
    assert (frame.size, frame.origin) == ((6, 6), (0, 7))
    shown = colours(half_blocks(np.full((6, 6, 3), 200, np.uint8), frame, BACKGROUND))
    assert (shown[:, 7:13] == 200).all()
    assert (shown[:, :7] == BACKGROUND).all()
    assert (shown[:, 13:] == BACKGROUND).all()


def test_reduced_pictures_are_averaged_and_enlarged_ones_repeated():
    picture = np.zeros((4, 4, 3), np.uint8)
    picture[0, :2], picture[1, :2] = 100, 200
    assert fitted(picture, 1, View(0, 0, 4, 4), (2, 2))[0, 0].tolist() == [150] * 3
    part = fitted(picture, 1, View(0, 0, 2, 2), (4, 4))
    assert part[:, 0, 0].tolist() == [100, 100, 200, 200]


def test_a_view_of_a_thinned_picture_shows_the_same_place():
    whole = np.arange(64, dtype=np.uint8).repeat(3).reshape(8, 8, 3)
    view = View(4, 0, 4, 4)
    np.testing.assert_array_equal(fitted(whole[::2, ::2], 2, view, (2, 2)), whole[4::2, :4:2])


def test_the_crosshair_leaves_the_pixel_itself():
    picture = np.zeros((3, 3, 3), np.uint8)
    marked = with_crosshair(picture, 1, 1)
    assert [(marked[y, x] == OUTLINE).all() for y, x in ((0, 1), (2, 1), (1, 0), (1, 2), (1, 1))] == [True] * 4 + [
        False
    ]
    assert (with_crosshair(picture, 0, 0) == OUTLINE).all(axis=2).sum() == 2


sizes = st.integers(1, 400)


@given(lines=sizes, samples=sizes, columns=st.integers(1, 120), rows=st.integers(1, 60), data=st.data())
def test_a_pixel_lies_within_the_picture_and_its_cell_leads_back_near(lines, samples, columns, rows, data):
    frame = Frame(View(0, 0, lines, samples), columns, rows)
    (height, width), (top, left) = frame.size, frame.origin
    assert 0 <= top <= top + height <= 2 * rows
    assert 0 <= left <= left + width <= columns
    line, sample = data.draw(st.integers(0, lines - 1)), data.draw(st.integers(0, samples - 1))
    down, across = frame.half_cell_of(line, sample)
    assert 0 <= down < height
    assert 0 <= across < width
    back = frame.pixel_at(left + across, (top + down) // 2)
    assert abs(back[0] - line) <= 2 * lines / height + 1
    assert abs(back[1] - sample) <= samples / width + 1


@given(lines=sizes, samples=sizes, factors=st.lists(st.sampled_from([0.5, 2.0]), max_size=8), data=st.data())
def test_zooming_stays_within_the_scene_and_shows_the_cursor(lines, samples, factors, data):
    shape = lines, samples
    pixel = data.draw(st.integers(0, lines - 1)), data.draw(st.integers(0, samples - 1))
    view = View(0, 0, *shape)
    for factor in factors:
        view = view.zoomed(factor, pixel, shape)
        assert 0 <= view.top <= pixel[0] < view.top + view.lines <= lines
        assert 0 <= view.left <= pixel[1] < view.left + view.samples <= samples


def test_a_diagonal_in_braille():
    grid = _Grid(1, 2, (0.0, 3.0), (0.0, 3.0))
    grid.draw(Curve("", [0, 3], [0, 3], "primary"), 0)
    assert "".join(chr(0x2800 + bits) for bits in grid.bits[0]) == "⡠⠊"


@pytest.mark.parametrize("gap", [False, True])
def test_a_missing_value_breaks_a_curve(gap):
    grid = _Grid(2, 8, (0.0, 2.0), (0.0, 1.0))
    grid.draw(Curve("", [0, 1, 2], [0.0, float("nan") if gap else 0.0, 0.0], "primary"), 0)
    assert sum(bits != 0 for bits in grid.bits[1]) == (2 if gap else 8)
