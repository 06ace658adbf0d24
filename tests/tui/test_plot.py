from __future__ import annotations

import pytest

from spectf_cloud.tui.plot import ticks


def test_ticks_are_round_numbers_between_the_limits():
    assert ticks((0, 1), 5) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert ticks((381, 2493), 5) == [500, 1000, 1500, 2000]
