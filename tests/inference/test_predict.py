import numpy as np
import pytest
import torch

import spectf_cloud as sc
from spectf_cloud.errors import MissingExtraError, UsageError, WeightsError
from spectf_cloud.inference.backend import resolve_device
from spectf_cloud.inference.engines.torch import TorchBackend
from spectf_cloud.model import ModelConfig
from spectf_cloud.models.load import load_model
from spectf_cloud.weights import Checkpoint, find_weights


@pytest.fixture(scope="module")
def wavelength_nm():
    return np.linspace(410, 2440, 21)


@pytest.fixture(scope="module")
def model(wavelength_nm):
    torch.manual_seed(3)
    return ModelConfig().build(wavelength_nm).eval()


@pytest.mark.parametrize("version", ["v0.1.0", "v0.0.1"])
def test_published_probabilities(reference, official, version):
    golden = np.load(reference / "golden" / "emit_spectra.npz")
    logits = golden[f"logits_{version}"].astype(np.float64)
    got = sc.predict(golden["toa_reflectance"], golden["wavelength"], weights=f"official:{version}", fidelity="exact")
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, 1 / (1 + np.exp(logits[:, 0] - logits[:, 1])), atol=2e-5)


def test_band_order_is_free(reference, official):
    golden = np.load(reference / "golden" / "emit_spectra.npz")
    toa, wavelength_nm = golden["toa_reflectance"][:40], golden["wavelength"]
    straight = sc.predict(toa, wavelength_nm, weights="official:v0.1.0", fidelity="exact")
    reverse = sc.predict(toa[:, ::-1], wavelength_nm[::-1], weights="official:v0.1.0", fidelity="exact")
    np.testing.assert_allclose(reverse, straight, atol=1e-5)


def test_a_pixel_has_the_same_bits_whatever_the_threads_and_its_company(model, wavelength_nm):
    toa = np.random.default_rng(0).random((75, 21), np.float32)
    alone = TorchBackend(model, torch.device("cpu"), 1)(toa)
    for threads in (2, 5):
        np.testing.assert_array_equal(TorchBackend(model, torch.device("cpu"), threads)(toa), alone)
    order = np.random.default_rng(1).permutation(75)
    np.testing.assert_array_equal(TorchBackend(model, torch.device("cpu"), 2)(toa[order]), alone[order])
    np.testing.assert_array_equal(TorchBackend(model, torch.device("cpu"), 2)(toa[5:6]), alone[5:6])


def test_the_callers_thread_setting_comes_back(model):
    before = torch.get_num_threads()
    TorchBackend(model, torch.device("cpu"), 2)(np.zeros((40, 21), np.float32))
    assert torch.get_num_threads() == before


def test_the_callers_network_stays_as_it_is(wavelength_nm):
    model = ModelConfig().build(wavelength_nm).train()
    sc.predict(np.zeros((1, 21), np.float32), wavelength_nm, weights=model)
    assert model.training


def test_rows_that_are_not_finite_give_nan(model, wavelength_nm):
    toa = np.random.default_rng(0).random((4, 21), np.float32)
    toa[1, 3], toa[2, 0] = np.nan, np.inf
    got = sc.predict(toa, wavelength_nm, weights=model)
    assert np.isnan(got).tolist() == [False, True, True, False]
    assert sc.predict(toa[:0], wavelength_nm, weights=model).shape == (0,)


def test_arguments_that_do_not_fit_are_refused(model, wavelength_nm):
    toa = np.zeros((2, 21), np.float32)
    with pytest.raises(UsageError, match="one wavelength per band"):
        sc.predict(toa, wavelength_nm[1:], weights=model)
    with pytest.raises(UsageError, match="other wavelengths"):
        sc.predict(toa, wavelength_nm + 1, weights=model)
    with pytest.raises(UsageError, match="arrays of numbers"):
        sc.predict([["a"]], [500.0], weights=model)
    with pytest.raises(UsageError, match="at least one"):
        sc.predict(np.zeros((2, 0)), [], weights=model)
    with pytest.raises(UsageError, match="fidelity"):
        sc.predict(toa, wavelength_nm, weights=model, fidelity="roughly")
    with pytest.raises(UsageError, match="two outputs"):
        sc.predict(toa, wavelength_nm, weights=ModelConfig(dim_output=3).build(wavelength_nm))


def test_devices():
    assert resolve_device(-1) == resolve_device("cpu") == torch.device("cpu")
    with pytest.raises(UsageError, match="not known"):
        resolve_device("toaster")
    with pytest.raises(MissingExtraError, match="GPU 99"):
        resolve_device(99)


def weights_at(path):
    return Checkpoint(path.name, path, "", 0.5, path)


def test_weights_that_cannot_be_used_are_named(tmp_path, model, wavelength_nm):
    path = tmp_path / "w.pt"
    state = model.state_dict()

    class Bomb:
        def __reduce__(self):
            return (print, ("boom",))

    for content, message in (
        ({"a": Bomb()}, "not a plain PyTorch state dict"),
        ([1, 2], "not a state dict"),
        ({1: torch.zeros(2)}, "not a state dict"),
        (state | {"head.bias": torch.zeros(2, dtype=torch.bool)}, "not a state dict"),
        (state | {"head.bias": torch.zeros(2).to_sparse()}, "not a state dict"),
        (state | {"head.bias": torch.zeros(2, device="meta")}, "not a"),
        (state | {"head.bias": torch.zeros(1).expand(10**9)}, "does not fit"),
        (state | {"head.bias": torch.tensor([np.nan, 0])}, "NaN or infinite"),
        ({name: value for name, value in state.items() if name != "head.bias"}, "does not fit"),
        (state | {"head.weight": torch.zeros(2, 32)}, "does not fit"),
    ):
        torch.save(content, path)
        with pytest.raises(WeightsError, match=message) as caught:
            load_model(weights_at(path), wavelength_nm)
        assert str(path) in str(caught.value)
    path.write_bytes(b"text")
    with pytest.raises(WeightsError, match="not a plain PyTorch state dict"):
        load_model(weights_at(path), wavelength_nm)


def test_the_builtin_weights_load_and_answer(wavelength_nm):
    found = find_weights("builtin")
    assert 0 < found.threshold < 1
    got = sc.predict(np.full((1, 21), 0.8, np.float32), wavelength_nm)
    assert 0 <= got[0] <= 1
