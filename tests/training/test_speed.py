"""Training against the straightforward loop: the same losses, and how much sooner (printed, not asserted)."""

from __future__ import annotations

import numpy as np
import pytest
from spectra_files import make_rows, write_hdf5

import spectf_cloud as sc

from training_race import compare


@pytest.fixture
def spectra(tmp_path, monkeypatch):
    monkeypatch.setenv("SPECTF_CACHE_DIR", str(tmp_path / "cache"))

    def make(bands, per_scene):
        rows = make_rows(scenes=4, per_scene=per_scene, bands=np.linspace(410, 2450, bands))
        return sc.open_spectra(write_hdf5(tmp_path / "s.h5", rows))

    return make


def test_losses_are_those_of_the_straightforward_loop(spectra):
    found = compare(spectra(70, 20), dropout=0.0, steps=4, batch=16)
    assert found["ours"]["losses"] == pytest.approx(found["straightforward"]["losses"], abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("dropout", [0.1, 0.0])
def test_speed_at_268_bands(spectra, dropout, capsys):
    found = compare(spectra(268, 600), dropout, steps=8)
    losses = np.array([found[name]["losses"] for name in ("ours", "straightforward")])
    assert np.abs(losses[0] - losses[1]).max() < (1e-3 if dropout == 0 else 0.1)
    speeds = [found[name]["pixels_per_cpu_second"] for name in ("ours", "straightforward")]
    with capsys.disabled():
        print(f"\ndropout {dropout}: {speeds[0]:.0f} against {speeds[1]:.0f} pixels/s: {found['ratio']:.1f} times")
