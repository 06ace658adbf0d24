"""`weights` as a user calls it, on files of every kind."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from spectf_cloud.__main__ import main
from spectf_cloud.model import ModelConfig

ROOT = Path(__file__).resolve().parents[2]


def others(folder):
    """Files that are no SpecTf weights, by name."""
    state = ModelConfig().build(np.linspace(400, 2400, 5)).state_dict()
    torch.save({"stem.weight": torch.zeros(3, 3), "head.weight": torch.zeros(2)}, folder / "resnet.pt")
    torch.save({"conv1.weight": torch.zeros(3, 3), "fc.bias": torch.zeros(2)}, folder / "another.pt")
    torch.save({"epoch": 3, "model": dict(state)}, folder / "checkpoint.pt")
    torch.save([torch.zeros(2)], folder / "list.pt")
    (folder / "trees.json").write_text(json.dumps({"learner": {}, "version": [2, 1, 0]}))
    (folder / "graph.onnx").write_bytes(b"\x08\x08\x12\x0cspectf-cloud")
    (folder / "fast.engine").write_bytes(b"ftrt" + bytes(64))
    (folder / "card.yml").write_text("name: mine\nthreshold: 0.5\n")
    np.save(folder / "irr.npy", np.zeros((3, 2)))
    with h5py.File(folder / "scene.nc", "w") as file:
        file["radiance"] = np.zeros((2, 2, 2))
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("command", ["info", "verify"])
def test_files_of_another_kind_are_named_in_one_line(tmp_path, capsys, command):
    for name in others(tmp_path):
        assert main(["weights", command, str(tmp_path / name)]) == 3, name
        error = capsys.readouterr().err
        assert name in error and error.count("\n") == 1 and "unexpected error" not in error, error


def test_weights_are_described_whatever_their_shape(tmp_path, capsys):
    state = ModelConfig(num_layers=2, dim_ff=16).build(np.linspace(400, 2400, 5)).state_dict()
    torch.save(state, tmp_path / "mine.pt")
    save_file(state, tmp_path / "mine.safetensors")
    for name in ("builtin", *map(str, (ROOT / "weights.pt", tmp_path / "mine.pt", tmp_path / "mine.safetensors"))):
        assert main(["weights", "info", name, "--json"]) == 0
        assert json.loads(capsys.readouterr().out.splitlines()[-1])["threshold"] == 0.51
