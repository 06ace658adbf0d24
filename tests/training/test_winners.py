from __future__ import annotations

import numpy as np
import pytest
import torch

from spectf_cloud.model import ModelConfig, normalise_wavelength
from spectf_cloud.models.winners import Masks, embed, hidden_of, logits, pooled_by_winners
from spectf_cloud.training.run import draw_bands

BANDS = 40


def network(**options):
    torch.manual_seed(0)
    return ModelConfig(**({"num_heads": 2, "dim_proj": 16, "dim_ff": 24} | options)).build(
        np.linspace(400, 2400, BANDS)
    )


def gradients(model, value):
    model.zero_grad()
    torch.nn.functional.cross_entropy(value, torch.tensor([0, 1, 1])).backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


def assert_same(first, second, tolerance=1e-6):
    assert first.keys() == second.keys()
    for name, value in first.items():
        scale = max(float(second[name].abs().max()), 1e-3)
        assert float((value - second[name]).abs().max()) <= tolerance * scale, name


@pytest.mark.parametrize("options", [{}, {"use_residual": True}, {"num_heads": 8}])
def test_winners_give_the_value_and_gradients_of_the_whole_network(options):
    model, toa = network(**options).double(), torch.rand(3, BANDS, dtype=torch.float64)
    ours, whole = logits(model, toa, model.wavelength), model(toa.unsqueeze(-1))
    assert torch.allclose(ours, whole, atol=1e-12)
    assert_same(gradients(model, ours), gradients(model, whole), 1e-10)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("residual", [False, True])
def test_winners_are_exact_under_dropout_with_the_same_masks(residual, dtype):
    model = network(dropout=0.3, use_residual=residual).to(dtype).train()
    toa = torch.rand(3, BANDS, dtype=dtype)
    masks = Masks.draw(model, 3, BANDS)
    ours = model.head(pooled_by_winners(model, embed(model, toa, model.wavelength), masks))
    # The straightforward way: every token through the layer, then the maximum.
    tokens = embed(model, toa, model.wavelength)
    layer = model.layers[0]
    mha = layer.attention.attention
    normed = layer.norm1(tokens)
    query, key, value = torch.nn.functional.linear(normed, mha.in_proj_weight, mha.in_proj_bias).chunk(3, -1)
    query, key, value = (part.view(3, BANDS, 2, 8).transpose(1, 2) for part in (query, key, value))
    weights = torch.softmax(query @ key.transpose(2, 3) / 8**0.5, -1) * masks.attention * masks.factor
    joined = mha.out_proj((weights @ value).transpose(1, 2).reshape(3, BANDS, 16)) * masks.attended * masks.factor
    first = tokens + joined if residual else joined
    units = torch.nn.functional.gelu(layer.ff.linear1(layer.norm2(first))) * masks.hidden * masks.factor
    second = layer.ff.linear2(units) * masks.transformed * masks.factor
    whole = model.head((first + second if residual else second).amax(1))
    close = 1e-12 if dtype == torch.float64 else 1e-5
    assert torch.allclose(ours, whole, atol=close)
    assert_same(gradients(model, ours), gradients(model, whole), 100 * close)


def test_masks_drop_the_share_asked_for_and_nothing_in_evaluation():
    model = network(dropout=0.25).train()
    masks = Masks.draw(model, 20, BANDS)
    for kept in (masks.attention, masks.hidden, masks.attended, masks.transformed):
        assert float(kept.float().mean()) == pytest.approx(0.75, abs=0.02)
    assert masks.factor == pytest.approx(1 / 0.75)
    assert not torch.equal(masks.attended, masks.transformed)
    assert Masks.draw(model.eval(), 20, BANDS) is None
    assert Masks.draw(network().train(), 20, BANDS) is None


@pytest.mark.parametrize("agg", ["mean", "flat", "max"])
def test_other_poolings_and_few_bands_take_the_whole_network(agg):
    model = network(agg=agg, dim_proj=48)
    toa = torch.rand(3, BANDS)
    assert torch.allclose(logits(model, toa, model.wavelength), model(toa.unsqueeze(-1)), atol=1e-6)


@pytest.mark.parametrize("count", [10, 30])
def test_subsets_of_bands_equal_a_network_of_these_bands(count):
    model, toa = network(), torch.rand(3, BANDS)
    torch.manual_seed(3)
    shown, wavelength = draw_bands(toa, model.wavelength, count)
    assert shown.shape == wavelength.shape == (3, count)
    ours = logits(model, shown, wavelength)
    centres = np.linspace(400, 2400, BANDS)
    for row in range(3):
        which = [int((normalise_wavelength(centres) == value).nonzero()) for value in wavelength[row]]
        assert len(set(which)) == count and torch.equal(toa[row, which], shown[row])
        alone = ModelConfig(num_heads=2, dim_proj=16, dim_ff=24).build(centres[which])
        alone.load_state_dict(model.state_dict())
        assert torch.allclose(alone(toa[row, which][None, :, None])[0], ours[row], atol=1e-5)
    assert draw_bands(toa, model.wavelength, 0)[0] is toa


def test_hidden_of_returns_the_residual_only_where_there_is_one():
    for residual in (False, True):
        model = network(use_residual=residual)
        tokens = torch.rand(1, 4, 16)
        key = value = torch.rand(1, 2, 4, 8)
        hidden, skipped = hidden_of(model.layers[0], tokens, tokens, key, value, None)
        assert hidden.shape == (1, 4, 24) and (skipped is not None) == residual
