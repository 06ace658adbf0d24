"""The network in NumPy against PyTorch and the published answers."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spectf_cloud.architecture import Architecture, tensor_shapes
from spectf_cloud.inference.engines.numpy import NumpyBackend
from spectf_cloud.inference.engines.torch import TorchBackend
from spectf_cloud.model import ModelConfig, normalise_wavelength
from spectf_cloud.models.load import load_model, load_numpy
from spectf_cloud.models.numpy_spectf import NumpySpecTf, gelu
from spectf_cloud.weights import find_weights

SHAPES = st.builds(
    dict,
    dim_output=st.integers(1, 3),
    num_heads=st.sampled_from((1, 2, 4)),
    dim_proj=st.sampled_from((4, 8)),
    dim_ff=st.integers(1, 9),
    agg=st.sampled_from(("mean", "max", "flat")),
    use_residual=st.booleans(),
    num_layers=st.integers(1, 3),
)


@settings(max_examples=40, deadline=None)
@given(shape=SHAPES, bands=st.integers(1, 12), seed=st.integers(0, 99))
def test_every_architecture_is_the_function_of_pytorch(shape, bands, seed):
    torch.manual_seed(seed)
    model = ModelConfig(**shape).build(np.linspace(400, 2400, bands)).eval()
    state = model.state_dict()
    assert tensor_shapes(Architecture(**shape), bands) == {name: tuple(value.shape) for name, value in state.items()}
    toa = torch.rand(3, bands) * 2
    with torch.inference_mode():
        wanted = model(toa.unsqueeze(-1)).numpy()
    np.testing.assert_allclose(NumpySpecTf.of(model).logits(toa.numpy()), wanted, atol=5e-6)


@pytest.mark.parametrize("version", ["v0.1.0", "v0.0.1"])
def test_published_answers(reference, version):
    golden = np.load(reference / "golden" / "emit_spectra.npz")
    some = slice(None, None, 60)
    weights, toa = find_weights(reference / f"official/{version}/weights.pt"), golden["toa_reflectance"][some]
    logits = load_numpy(weights, golden["wavelength"]).logits(toa)
    with torch.inference_mode():
        ours = load_model(weights, golden["wavelength"])(torch.from_numpy(toa).unsqueeze(-1)).numpy()
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits, ours, atol=3e-5, rtol=0)
    np.testing.assert_allclose(logits, golden[f"logits_{version}"][some], atol=4e-5, rtol=0)  # 3e-5 from float64 itself


def test_a_pixel_has_the_same_bits_whatever_the_threads_and_its_company():
    torch.manual_seed(3)
    model = ModelConfig().build(np.linspace(410, 2440, 21)).eval()
    network, toa = NumpySpecTf.of(model), np.random.default_rng(0).random((40, 21), np.float32)
    alone = NumpyBackend(network, 1)(toa)
    order = np.random.default_rng(1).permutation(40)
    np.testing.assert_array_equal(NumpyBackend(network, 3)(toa[order]), alone[order])
    np.testing.assert_array_equal(network.logits(toa), np.concatenate([network.logits(row[None]) for row in toa]))
    np.testing.assert_allclose(alone, TorchBackend(model, torch.device("cpu"), 1)(toa), atol=1e-6)


def test_gelu_is_pytorchs():
    x = np.linspace(-12, 12, 4001)
    np.testing.assert_allclose(gelu(x), torch.nn.functional.gelu(torch.from_numpy(x)).numpy(), atol=2e-11)
    assert gelu(x.astype(np.float32)).dtype == np.float32


def test_wavelengths_are_normalised_as_pytorch_does():
    wavelength_nm = np.random.default_rng(0).uniform(380, 2500, 285)
    np.testing.assert_array_equal(NumpySpecTf.normalised(wavelength_nm), normalise_wavelength(wavelength_nm).numpy())
