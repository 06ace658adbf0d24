from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from spectra_files import make_rows, names, write_hdf5

import spectf_cloud as sc
from spectf_cloud.__main__ import main
from spectf_cloud.data.spectra_info import describe


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
    image = np.asarray(Image.open(plot).convert("RGB")).reshape(-1, 3)
    for colour in ((0xD5, 0x5E, 0x00), (0x00, 0x72, 0xB2), (0x5B, 0x65, 0x70)):  # a curve of each label
        assert (image == colour).all(1).sum() > 500
    assert main(["dataset", "info", str(path), "--plot", str(path), "--overwrite"]) == 1  # never over the input
    csvs = ["--train-csv", str(tmp_path / "a.csv"), "--test-csv", str(tmp_path / "b.csv"), "--test-fraction", "0.3"]
    assert main(["dataset", "split", str(path), *csvs, "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["test"] == 2
    sides = [(tmp_path / name).read_text().split() for name in ("a.csv", "b.csv")]
    assert sorted(sides[0] + sides[1]) == names(make_rows())


def test_the_published_split_is_written(path, tmp_path, official, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["dataset", "split"]) == main(["dataset", "split", str(path), "--published"]) == 2
    capsys.readouterr()
    assert main(["dataset", "split", "--published", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"event": "done", "train": 848, "test": 126}
    for side in ("train", "test"):  # the published lists end their lines as Windows does
        assert Path(f"{side}.csv").read_bytes() == (official / f"{side}_fids.csv").read_bytes().replace(b"\r", b"")
    assert main(["dataset", "split", "--published"]) == 1  # never over an earlier list

    tampered = tmp_path / "tampered"
    tampered.mkdir()
    (tampered / "train_fids.csv").write_text("emit20220810t064537\n")
    monkeypatch.setenv("SPECTF_WEIGHTS_DIR", str(tampered))
    assert main(["dataset", "split", "--published", "--overwrite"]) != 0
    assert "sha256 differs" in capsys.readouterr().err


def test_only_a_picture_that_is_asked_for_needs_matplotlib(path, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main(["dataset", "info", str(path)]) == 0
    capsys.readouterr()
    assert main(["dataset", "info", str(path), "--plot", str(tmp_path / "plot.png")]) == 4
    captured = capsys.readouterr()
    assert captured.err == "error: --plot needs matplotlib; install it with: pip install 'spectf-cloud[plots]'\n"
    assert not captured.out and not (tmp_path / "plot.png").exists()
