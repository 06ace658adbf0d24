from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import spectf_cloud as sc
from spectf_cloud.__main__ import main
from spectf_cloud.errors import MissingExtraError, UsageError
from spectf_cloud.mapping.explain import explain, explain_pixel
from spectf_cloud.model import ModelConfig

SAMPLE = next((Path(__file__).parents[2] / "datasets" / "sample").glob("EMIT_L1B_RAD_*.nc"))
WAVELENGTH_NM = np.linspace(420, 2400, 30)


def network(**options):
    torch.manual_seed(1)
    return ModelConfig(**({"num_heads": 2, "dim_proj": 16} | options)).build(WAVELENGTH_NM).eval()


def test_attention_is_what_multihead_attention_itself_says():
    model, toa = network(), np.random.default_rng(0).uniform(size=30).astype(np.float32)
    found = explain(toa, WAVELENGTH_NM, weights=model)
    layer = model.layers[0]
    normed = layer.norm1(model.spectral_embed(torch.from_numpy(toa)[None], model.wavelength))
    _, weights = layer.attention.attention(normed, normed, normed, need_weights=True, average_attn_weights=True)
    np.testing.assert_allclose(found.attention, weights[0].mean(0).detach().numpy(), atol=1e-6)
    assert found.attention.sum() == pytest.approx(1)


def test_winners_alone_decide_and_occlusion_is_a_network_of_fewer_bands():
    model, toa = network(), np.random.default_rng(0).uniform(size=30).astype(np.float32)
    found = explain(toa, WAVELENGTH_NM, weights=model)
    assert found.wins.sum() == 16 and found.probability == pytest.approx(
        float(sc.predict(toa[None], WAVELENGTH_NM, weights=model)[0]), abs=1e-6
    )

    def log_odds(kept):
        smaller = ModelConfig(num_heads=2, dim_proj=16).build(WAVELENGTH_NM[kept]).eval()
        smaller.load_state_dict(model.state_dict())
        clear, cloud = smaller(torch.from_numpy(toa[kept])[None, :, None])[0].tolist()
        return cloud - clear

    everything = np.arange(30)
    for band, window in ((15, slice(11, 20)), (0, slice(0, 9)), (29, slice(21, 30))):
        expected = log_odds(everything) - log_odds(np.delete(everything, window))
        assert found.occlusion[band] == pytest.approx(expected, abs=1e-5)


def test_bands_in_any_order_and_other_poolings():
    model, toa = network(), np.random.default_rng(0).uniform(size=30).astype(np.float32)
    found = explain(toa, WAVELENGTH_NM, weights=model)
    turned = explain(toa[::-1], WAVELENGTH_NM[::-1], weights=model)
    assert np.array_equal(found.occlusion, turned.occlusion) and np.array_equal(found.toa, turned.toa)
    assert explain(toa, WAVELENGTH_NM, weights=network(agg="mean")).wins is None
    with pytest.raises(UsageError, match="flat"):
        explain(toa, WAVELENGTH_NM, weights=network(agg="flat"))
    for wrong in (toa[:-1], np.full(30, np.nan)):
        with pytest.raises(UsageError, match="finite spectrum"):
            explain(wrong, WAVELENGTH_NM, weights=model)


def test_command_explains_a_pixel_of_the_sample_granule(tmp_path, capsys):
    picture = tmp_path / "why.png"
    command = ["explain", str(SAMPLE), "--pixel", "50,40", "--out", str(picture)]
    assert main([*command, "--json"]) == 0
    event = json.loads(capsys.readouterr().out.splitlines()[-1])
    mask = sc.mask_scene(sc.open_scene(SAMPLE), fidelity="exact")
    assert event["probability"] == pytest.approx(float(mask.probability[50, 40]), abs=1e-4)
    assert len(event["occlusion"]) == 268 and Image.open(picture).width > 800
    assert main(command) == 1  # the picture exists
    assert main([*command[:-1], str(SAMPLE), "--overwrite"]) == 1  # never over an input
    assert main([*command[:3], "5;6", *command[4:], "--overwrite"]) == 2
    with pytest.raises(UsageError, match="outside the scene"):
        explain_pixel(sc.open_scene(SAMPLE), 5000, 0)


def test_the_picture_needs_matplotlib_and_the_numbers_do_not(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    picture = tmp_path / "why.png"
    assert main(["explain", str(SAMPLE), "--pixel", "50,40", "--out", str(picture)]) == 4
    assert "needs matplotlib; install it with: pip install 'spectf-cloud[plots]'" in capsys.readouterr().err
    found = explain(np.full(30, 0.4, np.float32), WAVELENGTH_NM, weights=network())
    with pytest.raises(MissingExtraError, match=r"spectf-cloud\[plots\]"):
        found.to_png(picture)
    assert not list(tmp_path.iterdir())
