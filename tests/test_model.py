import numpy as np
import pytest
import torch

from spectf_cloud.errors import ModelError
from spectf_cloud.model import ModelConfig, SpecTfEncoder, normalise_wavelength
from spectf_cloud.models.load import load_model
from spectf_cloud.weights import find_weights

VERSIONS = ("v0.1.0", "v0.0.1")


@pytest.mark.parametrize("version", VERSIONS)
def test_published_weights_give_the_published_logits_on_emit_spectra(reference, official, version):
    golden = np.load(reference / "golden" / "emit_spectra.npz")
    model = load_model(find_weights(f"official:{version}"), golden["wavelength"])
    with torch.inference_mode():
        logits = model(torch.from_numpy(golden["toa_reflectance"]).unsqueeze(-1)).numpy()
    np.testing.assert_allclose(logits, golden[f"logits_{version}"], atol=1e-4, rtol=0)


@pytest.mark.parametrize("version", VERSIONS)
def test_published_weights_serve_another_band_set_in_any_order(reference, official, version):
    golden = np.load(reference / "golden" / "avirisng_20170323.npz")
    kept = np.isin(golden["wavelength"], golden["kept_wavelength"])
    toa = golden["toa"][..., kept].reshape(100, -1).astype(np.float32)
    order = np.random.default_rng(0).permutation(toa.shape[1])
    for bands in (np.arange(toa.shape[1]), order):
        model = load_model(find_weights(f"official:{version}"), golden["kept_wavelength"][bands])
        with torch.inference_mode():
            logits = model(torch.from_numpy(toa[:, bands]).unsqueeze(-1)).numpy()
        np.testing.assert_allclose(logits, golden[f"logits_{version}"], atol=1e-4, rtol=0)


def test_published_architecture_has_25538_parameters():
    model = ModelConfig().build(np.linspace(400, 2400, 268))
    assert sum(parameter.numel() for parameter in model.parameters()) == 25_538


def test_wavelengths_are_normalised_before_rounding():
    emit_like = 381.0 + 7.4 * np.arange(285)
    normalised = normalise_wavelength(emit_like)
    assert normalised.dtype == torch.float32
    assert len(torch.unique(normalised)) == 285
    np.testing.assert_allclose(normalised, (emit_like - 1440) / 600, rtol=1e-6)


def plain_forward(model: SpecTfEncoder, toa: torch.Tensor, wavelength_nm: np.ndarray) -> torch.Tensor:
    """The network written out in float64, one head at a time: the oracle of the packed version."""
    state = {name: value.double() for name, value in model.state_dict().items()}
    config = model.config
    lam = torch.from_numpy((wavelength_nm - 1440) / 600)
    tokens = torch.stack([toa.double(), lam.expand(len(toa), -1)], dim=-1)
    x = torch.tanh(tokens @ state["spectral_embed.linear.weight"].T + state["spectral_embed.linear.bias"])

    def norm(y: torch.Tensor, name: str) -> torch.Tensor:
        centred = y - y.mean(-1, keepdim=True)
        scaled = centred / torch.sqrt((centred**2).mean(-1, keepdim=True) + 1e-5)
        return scaled * state[f"{name}.weight"] + state[f"{name}.bias"]

    for n in range(config.num_layers):
        prefix = f"layers.{n}."
        y = norm(x, prefix + "norm1")
        weight, bias = (state[f"{prefix}attention.attention.in_proj_{part}"] for part in ("weight", "bias"))
        q, k, v = ((y @ w.T + b) for w, b in zip(weight.chunk(3), bias.chunk(3), strict=True))
        width = config.dim_proj // config.num_heads
        heads = []
        for h in range(config.num_heads):
            part = slice(h * width, (h + 1) * width)
            share = torch.softmax(q[..., part] @ k[..., part].transpose(-1, -2) / width**0.5, dim=-1)
            heads.append(share @ v[..., part])
        out = prefix + "attention.attention.out_proj."
        attended = torch.cat(heads, dim=-1) @ state[out + "weight"].T + state[out + "bias"]
        x = x + attended if config.use_residual else attended
        y = norm(x, prefix + "norm2")
        hidden = y @ state[f"{prefix}ff.linear1.weight"].T + state[f"{prefix}ff.linear1.bias"]
        hidden = 0.5 * hidden * (1 + torch.erf(hidden / 2**0.5))
        transformed = hidden @ state[f"{prefix}ff.linear2.weight"].T + state[f"{prefix}ff.linear2.bias"]
        x = x + transformed if config.use_residual else transformed
    pooled = {"max": lambda: x.amax(1), "mean": lambda: x.mean(1), "flat": lambda: x.flatten(1)}[config.agg]()
    return pooled @ state["head.weight"].T + state["head.bias"]


@pytest.mark.parametrize(
    "config",
    [
        ModelConfig(),
        ModelConfig(agg="mean", num_layers=3, use_residual=True),
        ModelConfig(agg="flat", dim_proj=24, num_heads=3, dim_ff=40, dim_output=5, num_layers=2),
        ModelConfig(dropout=0.3, num_heads=1),
    ],
)
def test_any_shape_equals_the_network_written_out(config):
    torch.manual_seed(0)
    wavelength_nm = np.linspace(410, 2440, 17)
    model = config.build(wavelength_nm).eval()
    toa = torch.rand(6, 17)
    with torch.inference_mode():
        got = model(toa.unsqueeze(-1))
        expected = plain_forward(model, toa, wavelength_nm)
    torch.testing.assert_close(got.double(), expected, atol=2e-5, rtol=0)


def test_a_tiny_model_learns():
    torch.manual_seed(0)
    toa = torch.rand(256, 9)
    label = (toa[:, 4] > 0.5).long()
    model = ModelConfig(dim_proj=16, num_heads=2, dim_ff=16).build(np.linspace(500, 2000, 9))
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(60):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(model(toa.unsqueeze(-1)), label).backward()
        optimiser.step()
    correct = (model(toa.unsqueeze(-1)).argmax(1) == label).float().mean()
    assert correct > 0.9


def test_nonsense_is_refused():
    for values in (
        {"num_heads": 7},
        {"dim_ff": 0},
        {"agg": "median"},
        {"dropout": 1.0},
        {"num_layers": 1.5},
        {"num_layers": 10**8},
        {"dropout": None},
        {"use_residual": "no"},
    ):
        with pytest.raises(ModelError):
            ModelConfig(**values)
    with pytest.raises(ModelError, match="unknown architecture keys depth"):
        ModelConfig.from_mapping({"depth": 3})
    with pytest.raises(ModelError, match="must be"):
        ModelConfig().build([400.0, 500.0])(torch.zeros(1, 3, 1))
