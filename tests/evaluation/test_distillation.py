"""The distillation recipe: its optimiser, its exact shortcut, its irradiance, and stopping and going on."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from evaluation.distillation import pooled
from evaluation.distillation.data import Sources, bounded, emit_bands
from evaluation.distillation.descend import Descender, Descent
from evaluation.distillation.lesson import Batch, Units, answers
from evaluation.distillation.natural import Natural
from evaluation.distillation.newton import gradients, steps
from evaluation.distillation.polish import Polish, Polisher
from evaluation.distillation.pool import Part, Pool, draw
from evaluation.distillation.rows import features_and_rows, parameters_of
from evaluation.distillation.soap import Soap
from evaluation.distillation.train import Run, fit_head, train
from evaluation.distillation.validation import Validation
from evaluation.irradiance.make_irradiance import make_irradiance
from spectf_cloud.files.resources import resource
from spectf_cloud.model import ModelConfig, SpecTfEncoder
from spectf_cloud.training.distributed import World

TINY_RUN = {
    "seed": 3,
    "validation_seed": 4,
    "validation_size": 8,
    "threshold": 0.51,
    "examine_every": 4,
    "bank": 64,
    "calibration": 128,
    "shares": {"real_statistics": 0.5, "clear": 0.3, "mixtures": 0.2},
    "warm_up": 2,
    "betas": [0.95, 0.98],
    "every": 2,
    "slowness": 0.1,
    "bound": 3.0,
    "stages": [
        {"tokens": 4, "batch": 16, "steps": 6, "rate": [0.1, 0.1], "rows": 4, "invented": 0.1},
        {
            "tokens": 268,
            "batch": 8,
            "steps": 6,
            "rate": [1e-2, 1e-3],
            "jitter": 0.2,
            "passes": 2,
            "keep_sure": 0.5,
            "hard": 0.5,
        },
    ],
}


def quadratic_left_over(kind: type[torch.optim.Optimizer]) -> float:
    """Share of an ill-conditioned quadratic, its axes turned on both sides, that 400 steps leave."""
    random = torch.Generator().manual_seed(0)
    left, right = (torch.linalg.qr(torch.randn(8, 8, generator=random))[0] for _ in range(2))
    stretch = torch.logspace(0, 1.5, 8)
    target = torch.randn(8, 8, generator=random)
    weight = torch.zeros(8, 8, requires_grad=True)
    optimiser = kind([weight], lr=0.05)  # type: ignore[call-arg]
    losses = []
    for step in range(400):
        optimiser.zero_grad()
        loss = ((left * stretch) @ left.T @ (weight - target) @ (right * stretch) @ right.T).square().sum()
        loss.backward()
        losses.append(float(loss.detach()))
        optimiser.param_groups[0]["lr"] = 0.05 * 0.985**step
        optimiser.step()
    return losses[-1] / losses[0]


def test_soap_turns_into_the_axes_of_a_quadratic() -> None:
    assert quadratic_left_over(Soap) < 1e-3
    assert quadratic_left_over(Soap) < quadratic_left_over(torch.optim.Adam) / 10


@pytest.mark.parametrize("bands", [3, 90])
def test_winning_queries_alone_give_the_value_and_gradient_of_all(bands: int) -> None:
    torch.manual_seed(1)
    wavelength_nm = np.linspace(400, 2400, bands)
    model = ModelConfig().build(wavelength_nm)
    toa = torch.rand(5, bands)
    plain = model.features(toa.unsqueeze(-1))
    quick = pooled.features(model, toa, model.wavelength.expand_as(toa))
    torch.testing.assert_close(quick, plain, atol=2e-6, rtol=1e-5)
    pull = torch.randn_like(plain)
    used = [parameter for name, parameter in model.named_parameters() if not name.startswith("head")]
    for one, other in zip(torch.autograd.grad(plain, used, pull), torch.autograd.grad(quick, used, pull), strict=True):
        torch.testing.assert_close(other, one, atol=2e-5 * float(one.abs().max()), rtol=1e-3)


def test_gradients_are_those_of_autograd_spectrum_by_spectrum() -> None:
    torch.manual_seed(4)
    model = ModelConfig().build(np.linspace(400, 2400, 90))
    toa = torch.rand(3, 90)
    rows = torch.empty(3, sum(value.numel() for value in model.parameters()))
    differences = gradients(model, toa, model.wavelength.expand_as(toa), rows)
    for spectrum, difference, row in zip(toa, differences, rows, strict=True):
        logits = model(spectrum[None, :, None])[0]
        plain = torch.autograd.grad(logits[1] - logits[0], list(model.parameters()))
        torch.testing.assert_close(row, torch.cat([part.flatten() for part in plain]), atol=2e-4, rtol=1e-3)
        torch.testing.assert_close(difference, (logits[1] - logits[0]).detach(), atol=1e-5, rtol=1e-5)


def test_conjugate_gradients_end_at_the_least_squares_step() -> None:
    random = torch.Generator().manual_seed(5)
    rows, error = torch.randn(200, 20, generator=random), torch.randn(200, generator=random)
    scale = torch.rand(20, generator=random) + 0.5
    early, late = steps(rows, error, scale, 1e-7, (2, 40))
    truth = torch.linalg.lstsq(rows.double(), error.double()[:, None]).solution[:, 0].float()
    torch.testing.assert_close(late, truth, atol=1e-4, rtol=1e-4)
    assert (rows @ truth - error).norm() < (rows @ early - error).norm() < error.norm()


def test_rows_are_those_of_autograd() -> None:
    torch.manual_seed(2)
    model = ModelConfig().build(np.linspace(400, 2400, 5))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    toa, wavelength = torch.rand(3, 12), torch.randn(3, 12)
    feature = torch.stack([torch.randperm(64)[:5] for _ in range(3)])
    weight = torch.rand(3, 5) + 0.5
    parameters = parameters_of(model)
    features, rows = features_and_rows(parameters, toa, wavelength, feature, weight)
    truth = pooled.features(model, toa, wavelength, winners_only=False)
    torch.testing.assert_close(features, truth.detach(), atol=1e-5, rtol=1e-5)

    asked = (truth.gather(1, feature) * weight).flatten()
    named = [(name, value) for name, value in model.named_parameters() if not name.startswith("head")]
    written = torch.stack(
        [
            torch.cat([part.flatten() for part in torch.autograd.grad(one, [p for _, p in named], retain_graph=True)])
            for one in asked
        ]
    )
    torch.testing.assert_close(rows.gram(1.0), written @ written.T, rtol=1e-4, atol=1e-4)

    def flat(step: dict[str, torch.Tensor]) -> torch.Tensor:
        """In the order of the model's own parameters; the keys' bias, which cancels, stays zero."""
        other = ModelConfig().build(np.linspace(400, 2400, 5))
        for parameter in other.parameters():
            parameter.data.zero_()
        for name, view in parameters_of(other).items():
            view.copy_(step[name])
        return torch.cat([p.detach().flatten() for name, p in other.named_parameters() if not name.startswith("head")])

    share = torch.randn(len(asked))
    step = rows.combine(share, 1.0)
    torch.testing.assert_close(flat(step), share @ written, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(rows.times(step), written @ flat(step), rtol=1e-4, atol=1e-3)


def test_a_full_natural_step_answers_a_small_batch() -> None:
    torch.manual_seed(3)
    model = ModelConfig().build(np.linspace(400, 2400, 5))
    natural = Natural(parameters_of(model), slowness=1.0, bound=1e9)
    toa, wavelength = torch.rand(2, 6), torch.randn(2, 6)
    feature, weight = torch.arange(8).repeat(2, 1), torch.ones(2, 8)
    before, rows = features_and_rows(natural.parameters, toa, wavelength, feature, weight)
    wanted = 1e-4 * torch.randn(16)
    natural.step(rows, wanted, rate=1.0, damping=1e-6, memory=0.0)
    after, _ = features_and_rows(natural.parameters, toa, wavelength, feature, weight)
    torch.testing.assert_close((after - before).gather(1, feature).flatten(), wanted, atol=5e-6, rtol=0)


def test_the_head_is_the_least_squares_one() -> None:
    torch.manual_seed(4)
    model = ModelConfig().build(np.linspace(400, 2400, 5))
    toa, wavelength = torch.rand(300, 6), torch.randn(300, 6)
    features = pooled.features(model, toa, wavelength).detach()
    batch = Batch(toa, wavelength, features, model.head(features).detach())
    model.head.weight.data.zero_()
    fit_head(model, batch)
    torch.testing.assert_close(model.head(features), batch.logits, atol=0.02, rtol=0)


def test_the_committed_irradiance_is_what_its_script_makes() -> None:
    pytest.importorskip("pvlib")
    committed = np.load(resource("irr_astm_g173.npy"))
    np.testing.assert_array_equal(make_irradiance(), committed)
    # The solar constant: 1361–1367 W m-2, of which some 96 % lies between 300 and 2600 nm.
    assert 0.95 * 1361e2 < np.trapezoid(committed[:, 1], committed[:, 0]) < 0.97 * 1367e2


def test_units_agree_with_the_published_irradiance_band_by_band(reference: Path) -> None:
    units = Units(reference, resource("irr_astm_g173.npy"))
    assert units.emit.shape == (268,)
    assert float((units.emit - 1).abs().max()) < 0.07
    wavelength_nm, _, kept = emit_bands(reference)
    centres = ModelConfig().build(wavelength_nm[kept]).wavelength
    assert float((units.at(centres) - units.emit).abs().max()) < 2e-3


def test_drawn_spectra_are_reflectance_and_follow_the_seed(reference: Path) -> None:
    shares = {"real_statistics": 0.4, "clear": 0.2, "cloudy": 0.2, "smooth": 0.1, "mixtures": 0.1}
    first, again = (Sources(reference, 5).draw(shares, 50) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert first.shape == (50, 268)
    assert first.min() >= 0
    assert first.max() <= 1.5


def test_spectra_with_larger_errors_are_visited_more_often(reference: Path, tmp_path: Path) -> None:
    run = Run(TINY_RUN, reference, resource("irr_astm_g173.npy"), tmp_path)
    run.lesson.batch(run.stages[1])
    bank, chance = run.lesson.bank, run.lesson.chance
    assert chance is not None
    error = answers(run.average, bank.toa, bank.wavelength)[1] - bank.logits
    counted = (error[:, 1] - error[:, 0]).abs() / (1 + ((bank.logits[:, 1] - bank.logits[:, 0]) / 8) ** 2)
    ordered = chance[counted.argsort()]
    assert (ordered.diff() >= -1e-7).all() and ordered[-1] > 1.5 * ordered[0]
    assert float(chance.sum()) == pytest.approx(1, abs=1e-5)


def near_pool(size: int) -> Pool:
    """Sets of 32 bands of spectra near the threshold."""
    return draw(
        "", str(resource("irr_astm_g173.npy")), Part({"real_statistics": 1.0}, size, 3.0, 6, tokens=32), size, 0
    )


def spoilt_model(reference: Path) -> tuple[SpecTfEncoder, Validation]:
    """The bundled weights with a wrong bias, and what they are judged on."""
    lesson = Run(TINY_RUN, reference, resource("irr_astm_g173.npy"), reference / "no run here").lesson
    model = ModelConfig().build(lesson.sources.wavelength_nm)
    model.load_state_dict(torch.load(resource("weights.pt"), weights_only=True))
    with torch.no_grad():
        model.head.bias[1] += 2
    return model, Validation(lesson, 7, 64, 0.51)


def test_a_pool_follows_its_seed_and_lies_near_the_threshold(reference: Path) -> None:
    torch.set_num_threads(1)
    lesson = Run(TINY_RUN, reference, resource("irr_astm_g173.npy"), reference / "no run here").lesson
    part = Part({"real_statistics": 1.0}, 200, 3.0, 6, jitter=0.0)
    pool = draw("", str(resource("irr_astm_g173.npy")), part, 200, 0)
    assert torch.equal(pool.toa, draw("", str(resource("irr_astm_g173.npy")), part, 200, 0).toa)
    logits = answers(lesson.teacher, pool.toa / lesson.units.emit, pool.wavelength)[1]
    torch.testing.assert_close(pool.difference, logits[:, 1] - logits[:, 0], atol=1e-3, rtol=1e-4)
    everything = bounded(lesson.sources.real_statistics, 200)
    logits = answers(lesson.teacher, torch.tensor(everything), pool.wavelength)[1]
    assert pool.difference.abs().median() < 0.6 * (logits[:, 1] - logits[:, 0]).abs().median()


def test_descending_brings_a_spoilt_head_back_and_goes_on_where_it_was(reference: Path) -> None:
    torch.set_num_threads(1)
    settings = Descent(1, 60, 32, (5e-3, 1e-3), 0.9, 2.0, 5, 8)
    model, pool = spoilt_model(reference)[0], near_pool(256)

    def error(network: SpecTfEncoder) -> float:
        logits = answers(network, pool.toa, pool.wavelength)[1]
        return float((logits[:, 1] - logits[:, 0] - pool.difference).abs().mean())

    whole, broken = (Descender(settings, copy.deepcopy(model), pool, (0.95, 0.98), 5) for _ in range(2))
    for _ in range(60):
        whole.advance(World())
    assert error(whole.average) < 0.6 * error(model)
    for _ in range(4):
        broken.advance(World())
    resumed = Descender(settings, model, pool, (0.95, 0.98), 5)
    resumed.restore(copy.deepcopy(broken.state()))
    assert resumed.advance(World()) == broken.advance(World())
    for one, other in zip(resumed.average.parameters(), broken.average.parameters(), strict=True):
        assert torch.equal(one, other)


def test_polishing_brings_a_spoilt_head_back_to_the_teacher(reference: Path) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    settings = Polish(1, 96, 4.0, 1e-6, (5, 20), 0.7, 6)
    model, validation = spoilt_model(reference)
    polisher = Polisher(settings, model, [near_pool(96)], validation)
    spoilt = polisher.scores["real_statistics"][2]
    assert polisher.step(0) in settings.conjugate
    assert polisher.validation.score(model) == polisher.scores
    # By how much one step helps is not the same on every processor.
    assert polisher.scores["real_statistics"][2] < spoilt


def test_a_stopped_run_is_taken_up_where_it_was(reference: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    stopped = Run(TINY_RUN, reference, resource("irr_astm_g173.npy"), tmp_path)
    for stop in (3, 8):
        train(stopped, Validation(stopped.lesson, 4, 8, 0.51), until=stop)
        resumed = Run(TINY_RUN, reference, resource("irr_astm_g173.npy"), tmp_path)
        assert (resumed.step, resumed.samples) == (stopped.step, stopped.samples)
        for kind in ("model", "average"):
            for one, other in zip(
                getattr(stopped, kind).parameters(), getattr(resumed, kind).parameters(), strict=True
            ):
                assert torch.equal(one, other)
        stage = resumed.stages[resumed.where(stop)[0]]
        # What it goes on with is the same lesson; float sums may round otherwise where memory lies otherwise.
        here, there = stopped.lesson.batch(stage), resumed.lesson.batch(stage)
        for field in ("toa", "wavelength", "features", "logits"):
            torch.testing.assert_close(getattr(here, field), getattr(there, field), atol=1e-4, rtol=1e-4)
        stopped = Run(TINY_RUN, reference, resource("irr_astm_g173.npy"), tmp_path)
