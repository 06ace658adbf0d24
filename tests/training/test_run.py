"""Whole runs on tiny data: real network, real optimiser, files reopened."""

from __future__ import annotations

import csv
import json
import logging
import os
import pickle
import signal
import socket
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image
from spectra_files import make_rows, write_hdf5, write_split

import spectf_cloud as sc
from spectf_cloud.__main__ import main
from spectf_cloud.errors import ConfigError, InputError, OutputError, UsageError
from spectf_cloud.files import extras
from spectf_cloud.model import ModelConfig
from spectf_cloud.scoring.metrics import rank
from spectf_cloud.training import trackers
from spectf_cloud.training.config import TrainConfig
from spectf_cloud.training.run import train
from spectf_cloud.weights import find_weights, sha256_of

TINY = ModelConfig(num_heads=2, dim_proj=8, dim_ff=8)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    os.environ["SPECTF_CACHE_DIR"] = str(folder / "cache")
    rows = make_rows(scenes=8, per_scene=30)
    path = write_hdf5(folder / "spectra.h5", rows)
    yield (path, *write_split(folder, rows))
    del os.environ["SPECTF_CACHE_DIR"]


@pytest.fixture
def config(data, tmp_path):
    path, train_csv, test_csv = data
    return TrainConfig(
        (path,),
        train_csv,
        test_csv,
        outdir=tmp_path / "out",
        epochs=2,
        batch=32,
        lr=0.05,
        architecture=TINY,
        val_fraction=0.3,
    )


def arguments(config, *more):
    return [
        "train", str(config.datasets[0]), "--train-csv", str(config.train_csv), "--test-csv", str(config.test_csv),
        "--outdir", str(config.outdir), "--batch", "32", "--lr", "0.05", "--arch-heads", "2", "--arch-proj-dim", "8",
        "--arch-ff", "8", "--val-fraction", "0.3", *more,
    ]  # fmt: skip


def state_of(folder: Path):
    return torch.load(folder / "weights.pt", weights_only=True)


def history(folder: Path):
    with (folder / "metrics.csv").open() as stream:
        return list(csv.DictReader(stream))


def test_a_run_learns_and_leaves_what_it_should(config):
    config = replace(config, epochs=8, save_every_epoch=True)
    said = []
    report = train(config, progress=lambda *at: said.append(at))
    assert report.test["auc"] > 0.95 and report.spectra == 240
    assert said[-1][0] == said[-1][1]
    found = find_weights(report.weights)
    assert found.sha256 == sha256_of(report.weights) and found.threshold == report.threshold
    assert asdict(found.architecture) == asdict(replace(TINY, dropout=0.0))
    card = yaml.safe_load((config.outdir / "weights.yml").read_text())
    assert card["test"] == report.test and len(card["scenes"]["test"]) == 2
    assert {*card["scenes"]["train"], *card["scenes"]["validation"]}.isdisjoint(card["scenes"]["test"])
    assert card["data"][0]["spectra"] == 240 and card["training"]["seed"] == 42
    rows = history(config.outdir)
    assert len(rows) == 8 and float(rows[-1]["train_loss"]) < float(rows[0]["train_loss"])
    best = min(rows, key=lambda row: float(row["val_loss"]))
    assert float(best["epoch"]) == report.epoch and float(best["val_threshold"]) == report.threshold
    assert Image.open(config.outdir / "curves.png").width > 600
    assert len(list(config.outdir.glob("weights_epoch_*.pt"))) == 8
    # The card's test scores are those of the weights as anyone else would apply them.
    spectra = sc.open_spectra(config.datasets)
    rows = spectra.rows_of(card["scenes"]["test"])
    probability = sc.predict(spectra.take(rows), spectra.wavelength_nm, weights=report.weights)
    assert rank(spectra.cloud[rows], probability).auc() == pytest.approx(report.test["auc"], abs=1e-9)


def test_without_matplotlib_a_run_finishes_and_says_what_is_left_out(config, monkeypatch, caplog):
    config.outdir.mkdir()
    (config.outdir / "curves.png").write_bytes(b"of an earlier run")
    extras._warn.cache_clear()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert train(config).epoch
    said = "left out: curves.png needs matplotlib; install it with: pip install 'spectf-cloud[plots]'"
    assert [record.getMessage() for record in caplog.records].count(said) == 1
    assert (config.outdir / "metrics.csv").exists() and not (config.outdir / "curves.png").exists()


def test_the_same_seed_gives_the_same_bits_and_another_does_not(config, tmp_path):
    runs = [replace(config, outdir=tmp_path / name, seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))]
    for run in runs:
        train(run)
    a, b, c = (state_of(run.outdir) for run in runs)
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not all(torch.equal(a[name], c[name]) for name in a)


KILLED = """
import os, pickle, signal, sys
import torch
from spectf_cloud.training.run import train
torch.set_num_threads(1)  # as in the process it is compared with
def progress(done, total):
    if done > 0.6 * total:
        os.kill(os.getpid(), signal.SIGKILL)
train(pickle.load(sys.stdin.buffer), progress=progress)
"""


def test_killed_and_resumed_equals_uninterrupted_bit_for_bit(config, tmp_path):
    """Bands, dropout and order are drawn anew in each epoch; the process dies within the third of four."""
    whole = replace(config, epochs=4, architecture=replace(TINY, dropout=0.1), bands_per_step=12)
    broken = replace(whole, outdir=tmp_path / "broken", resume=True)
    process = subprocess.run([sys.executable, "-c", KILLED], input=pickle.dumps(broken), check=False)
    assert process.returncode == -signal.SIGKILL
    assert not (broken.outdir / "weights.pt").exists() and (broken.outdir / "checkpoint.pt").exists()
    resumed = []
    train(broken, on_epoch=lambda row: resumed.append(row["epoch"]))
    assert resumed == [3, 4]
    train(whole)
    first, second = state_of(whole.outdir), state_of(broken.outdir)
    assert all(torch.equal(first[name], second[name]) for name in first)
    for one, other in zip(history(whole.outdir), history(broken.outdir), strict=True):
        one.pop("spectra_per_s"), other.pop("spectra_per_s")
        assert one == other


def test_two_processes_equal_one(config, tmp_path):
    """The same global batches, gradients added up over gloo; dropout off, since processes draw their own masks."""
    command = [sys.executable, "-m", "spectf_cloud", *arguments(config, "--epochs", "2", "--batch", "50", "--json")]
    command += ["--arch-dropout", "0"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    where = os.environ | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    workers = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=where | {"RANK": rank, "LOCAL_RANK": rank})
        for rank in ("0", "1")
    ]
    said, nothing = [worker.communicate(timeout=120)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0]
    alone = []
    train(replace(config, outdir=tmp_path / "one", batch=50), on_epoch=alone.append)
    events = [json.loads(line) for line in said.splitlines()]
    assert events[-1]["event"] == "done" and not nothing
    first, second = state_of(tmp_path / "one"), state_of(config.outdir)
    for name in first:
        assert torch.allclose(first[name], second[name], atol=1e-5), name
    losses = [event["train_loss"] for event in events if event["event"] == "epoch"]
    assert losses == pytest.approx([row["train_loss"] for row in alone], rel=1e-5)


def test_early_stop_and_no_validation(config, tmp_path):
    stopped = replace(config, epochs=200, early_stop=1, lr=0.5)
    report = train(stopped)
    assert len(history(stopped.outdir)) == report.epoch + 1 < 200
    last = train(replace(config, outdir=tmp_path / "last", val_fraction=0.0))
    assert last.epoch == 2 and last.threshold == 0.51


def test_fine_tuning_starts_from_weights_and_leaves_frozen_parts(config, tmp_path):
    before = state_of(train(config).weights.parent)
    tuned = replace(config, outdir=tmp_path / "tuned", init=str(config.outdir / "weights.pt"), freeze=("layers", "sp"))
    after = state_of(train(tuned).weights.parent)
    assert all(torch.equal(before[name], after[name]) for name in before if not name.startswith("head"))
    assert not torch.equal(before["head.weight"], after["head.weight"])
    for changes, words in (
        ({"freeze": ("nothing",)}, "no parameter's name starts with it"),
        ({"freeze": ("",)}, "nothing to train"),
        ({"architecture": replace(TINY, dim_ff=16)}, "does not fit"),
    ):
        with pytest.raises(UsageError, match=words):
            train(replace(tuned, outdir=tmp_path / "no", **changes))


@pytest.mark.parametrize("changes", [{"bands_per_step": 6}, {"amp": True}, {"batch": 37}])
def test_quicker_ways_learn_too(config, changes):
    report = train(replace(config, epochs=4, **changes))
    assert report.test["auc"] > 0.9


def test_an_earlier_run_is_not_overwritten_and_resuming_needs_the_same_options(config):
    train(config)
    with pytest.raises(OutputError, match="earlier run"):
        train(config)
    with pytest.raises(ConfigError, match="is from a run with lr"):
        train(replace(config, resume=True, lr=0.5))
    longer = train(replace(config, resume=True, epochs=3))
    assert longer.epoch <= 3
    (config.outdir / "checkpoint.pt").write_bytes(b"no checkpoint")
    with pytest.raises(InputError, match="not a checkpoint"):
        train(replace(config, resume=True))
    train(replace(config, overwrite=True, epochs=1))


def test_wrong_options_and_splits_are_refused(config, data, tmp_path):
    for changes, words in (
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"lr": -1.0}, "learning rate"),
        ({"resume": True, "overwrite": True}, "one of them"),
        ({"bands_per_step": 3, "architecture": replace(TINY, agg="flat")}, "flat"),
    ):
        with pytest.raises(UsageError, match=words):
            replace(config, **changes)
    with pytest.raises(UsageError, match="the spectra have 24 bands"):
        train(replace(config, bands_per_step=25))
    with pytest.raises(InputError, match="is in both"):
        train(replace(config, test_csv=config.train_csv, overwrite=True))
    nothing = tmp_path / "nothing.csv"
    nothing.write_text("elsewhere\n")
    with pytest.raises(InputError, match="none of its 1 scenes"):
        train(replace(config, train_csv=nothing, overwrite=True))


class Failing:
    def __init__(self):
        self.calls = 0

    def log(self, epoch, values):
        self.calls += 1
        raise ConnectionError("no route")

    def finish(self):
        raise AssertionError("left out after its first failure")


def test_a_failing_tracker_is_dropped_and_the_run_goes_on(config, monkeypatch, caplog):
    failing = Failing()
    monkeypatch.setattr(logging.getLogger("spectf_cloud"), "propagate", True)  # commands turn it off
    monkeypatch.setattr("spectf_cloud.training.trainer.open_trackers", lambda *a: trackers.Trackers([failing]))
    with caplog.at_level(logging.WARNING, "spectf_cloud"):
        report = train(config)
    assert report.weights.exists() and failing.calls == 1
    assert "Failing failed and is not used any more" in caplog.text


def test_wandb_offline(config, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    train(replace(config, wandb_project="spectf-test", wandb_name="offline", epochs=1))
    assert list(config.outdir.glob("wandb/offline-run-*/*.wandb"))


def test_command_speaks_words_and_reads_the_environment(config, capsys, monkeypatch):
    monkeypatch.setenv("SPECTF_TRAIN_EPOCHS", "1")
    assert main(arguments(config)) == 0
    said = capsys.readouterr().out
    assert "epoch 1: loss" in said and "epoch 2" not in said and "weights.pt: epoch 1" in said
    assert main(arguments(config)) == 1
    assert "--resume" in capsys.readouterr().err
