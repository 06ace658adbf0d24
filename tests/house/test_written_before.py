"""What versions before the house wrote opens: a ledger, a receipt, tables, preferences, a run's weights and state."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from spectf_cloud.archive.ledger import read_ledger
from spectf_cloud.archive.receipts import read_receipt
from spectf_cloud.errors import ConfigError, WeightsError
from spectf_cloud.files.resources import resource
from spectf_cloud.inference.engines.native.table_cache import read_arrays
from spectf_cloud.models.load import load_model
from spectf_cloud.training.checkpoint import Checkpoint
from spectf_cloud.tui.preferences import Preferences
from spectf_cloud.weights import find_weights, irradiance_for

WRITTEN = Path(__file__).with_name("written_before")
GRANULE = "emit20230418t211703"


def test_a_ledger_opens(tmp_path):
    shutil.copy(WRITTEN / "ledger.sqlite", tmp_path)
    with read_ledger(tmp_path) as ledger:
        (row,) = ledger.rows()
        assert (row.id, row.state, row.lines, row.samples) == (GRANULE, "done", 100, 100)
        assert set(row.outputs) >= {"mask", "probability"} and row.tags["SPECTF_WEIGHTS"]
        assert ledger.recipes()[row.recipe]["threshold"] == 0.51


def test_a_receipt_opens():
    outcome = read_receipt(WRITTEN)
    assert outcome is not None and outcome.state == "done" and outcome.granule == GRANULE


def test_kept_tables_open():
    path = WRITTEN / "tables.npz"
    path.chmod(0o644)  # what others may write is not trusted, and a checkout may make it so
    arrays = read_arrays(path)
    assert arrays is not None
    np.testing.assert_array_equal(arrays["a"], np.arange(6, dtype=np.float32).reshape(2, 3))


def test_preferences_open():
    kept = Preferences.load(WRITTEN / "tui.json")
    rate = kept.rate("machine builtin faithful cpu")
    assert kept.tour_seen and kept.theme == "nord" and rate is not None and rate.pixels_per_s == 30000


def test_trained_weights_open_with_their_card():
    found = find_weights(WRITTEN / "weights.pt")
    assert found.name == "trained:run" and found.threshold == pytest.approx(0.3411029)
    model = load_model(found, np.linspace(450, 2300, 20))
    assert model.config.dim_proj == 8
    with torch.inference_mode():
        assert torch.isfinite(model(torch.full((3, 20, 1), 0.3))).all()


def test_weights_that_name_no_irradiance_are_used_with_the_one_of_their_time():
    found = find_weights(WRITTEN / "weights.pt")
    assert irradiance_for(found, "astm-g173") == resource("irr_astm_g173.npy")
    with pytest.raises(WeightsError, match="--irradiance published, --irradiance astm-g173"):
        irradiance_for(found)


def test_a_runs_state_opens_for_the_same_run_only():
    state = Checkpoint.load(WRITTEN / "checkpoint.pt", {})
    assert state.epoch == 1 and state.best is not None
    assert Checkpoint.load(WRITTEN / "checkpoint.pt", state.identity).epoch == 1
    with pytest.raises(ConfigError):
        Checkpoint.load(WRITTEN / "checkpoint.pt", {**state.identity, "seed": -1})
