"""Batches for the student: token sets in our reflectance units, and the teacher's answers to them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from evaluation.distillation import pooled
from evaluation.distillation.data import Sources, Spectra, emit_bands
from spectf_cloud.model import ModelConfig, SpecTfEncoder, normalise_wavelength
from spectf_cloud.toa import resample_irradiance

TEACHER_FILE = "official/v0.1.0/weights.pt"
TYPICAL_FWHM_NM = 8.6
WIDEST_STEP_NM = 10.0
#: Logit difference beyond which a spectrum teaches little.
DOUBT = 8.0


@dataclass(frozen=True)
class Stage:
    """One leg of the curriculum; see config.yml for what each value means."""

    tokens: int
    batch: int
    steps: int
    rate: tuple[float, float]
    floor: float = 0.3
    logit_weight: float = 0.05
    jitter: float = 0.5
    invented: float = 0.0
    passes: int = 1
    keep_sure: float = 1.0
    doubtful: bool = False
    hard: float = 0.0
    average: float = 0.999
    rows: int = 0
    damping: float = 0.003
    memory: float = 0.95

    @classmethod
    def from_mapping(cls, values: dict[str, Any]) -> Stage:
        """From config.yml; an unknown key is an error."""
        unknown = set(values) - {field.name for field in fields(cls)}
        if unknown:
            raise ValueError(f"unknown stage keys: {', '.join(sorted(unknown))}")
        return cls(**values | {"rate": tuple(float(rate) for rate in values["rate"])})


@dataclass
class Batch:
    """toa (b, s) in our units, wavelength (b, s) normalised, the teacher's features (b, 64) and logits (b, 2)."""

    toa: Tensor
    wavelength: Tensor
    features: Tensor
    logits: Tensor


class Units:
    """Published reflectance → reflectance under our irradiance: × E0 published / E0 ours, at any wavelength."""

    def __init__(self, folder: Path, irradiance: Path) -> None:
        published, ours = np.load(folder / "official/irr.npy"), np.load(irradiance)
        wavelength_nm, fwhm_nm, kept = emit_bands(folder)
        self.emit = torch.tensor(_ratio(published, ours, wavelength_nm, fwhm_nm)[kept], dtype=torch.float32)
        grid_nm = np.arange(380.0, 2490.5, 0.5)
        dense = _ratio(published, ours, grid_nm, np.full(len(grid_nm), TYPICAL_FWHM_NM))
        self.dense = torch.tensor(dense, dtype=torch.float32)
        self.first, self.step = (float(value) for value in normalise_wavelength([380.0, 380.5]))
        self.step -= self.first

    def at(self, wavelength: Tensor) -> Tensor:
        """The ratio at normalised wavelengths of any shape, for a typical band width."""
        place = ((wavelength - self.first) / self.step).clamp(0, len(self.dense) - 1.001)
        low = place.long()
        return torch.lerp(self.dense[low], self.dense[low + 1], place - low)


def _ratio(published: np.ndarray, ours: np.ndarray, wavelength_nm: np.ndarray, fwhm_nm: np.ndarray) -> np.ndarray:
    above, below = (resample_irradiance(table, wavelength_nm, fwhm_nm) for table in (published, ours))
    return above / below


def load_teacher(folder: Path, wavelength_nm: np.ndarray) -> SpecTfEncoder:
    """The published v0.1.0 network, frozen."""
    model = ModelConfig().build(wavelength_nm)
    model.load_state_dict(torch.load(folder / TEACHER_FILE, map_location="cpu", weights_only=True))
    return model.eval().requires_grad_(False)


@torch.no_grad()
def answers(model: SpecTfEncoder, toa: Tensor, wavelength: Tensor, chunk: int = 256) -> tuple[Tensor, Tensor]:
    """Pooled features (n, 64) and logits (n, 2), in chunks."""
    parts = zip(toa.split(chunk), wavelength.split(chunk), strict=True)
    pooled_features = torch.cat([pooled.features(model, *part) for part in parts])
    return pooled_features, model.head(pooled_features)


class Lesson:
    """Endless batches; `state` and `restore` make a stopped run go on exactly where it was."""

    def __init__(
        self,
        folder: Path,
        irradiance: Path,
        seed: int,
        shares: dict[str, float],
        bank: int,
        simulated: Spectra | None = None,
    ) -> None:
        self.folder, self.seed, self.shares, self.size, self.simulated = folder, seed, shares, bank, simulated
        self.units = Units(folder, irradiance)
        self.random = torch.Generator().manual_seed(seed)
        self.sources = Sources(folder, seed, simulated)
        self.teacher = load_teacher(folder, self.sources.wavelength_nm)
        self.wavelength = self.teacher.wavelength
        gaps_nm = np.diff(self.sources.wavelength_nm)
        self.has_next = torch.tensor(np.append(gaps_nm < WIDEST_STEP_NM, False))
        self.bank_number, self.position = 0, 0
        self.stage: Stage | None = None
        self.bank_random = self.random.get_state()
        self.student: SpecTfEncoder | None = None  # whose errors say which spectra are hard
        self.chance: Tensor | None = None

    def state(self) -> dict[str, Any]:
        """What `restore` needs."""
        return {
            "bank_number": self.bank_number,
            "position": self.position,
            "random": self.random.get_state(),
            "bank_random": self.bank_random,
            "chance": self.chance,
        }

    def restore(self, state: dict[str, Any], stage: Stage) -> None:
        """Go back to a saved state: the bank is drawn again, the random stream set on."""
        if state["bank_number"]:
            self.bank_number = state["bank_number"] - 1
            self.random.set_state(state["bank_random"])
            self._new_bank(stage)
            self.chance = state.get("chance")
        self.position = state["position"]
        self.random.set_state(state["random"])

    def batch(self, stage: Stage) -> Batch:
        """The next batch of this stage: fresh sets, or, with several passes, sets whose answers are kept."""
        limit = self.size * (stage.passes if stage.passes > 1 else max(1, 134 // stage.tokens))
        if stage != self.stage or self.position + stage.batch > limit:
            self._new_bank(stage)
        self.position += stage.batch
        if stage.passes > 1:
            if self.chance is None:
                rows = torch.randint(len(self.bank.toa), (stage.batch,), generator=self.random)
            else:
                rows = torch.multinomial(self.chance, stage.batch, replacement=True, generator=self.random)
            return Batch(*(getattr(self.bank, field.name)[rows] for field in fields(Batch)))
        return self.sets(torch.randint(self.size, (stage.batch,), generator=self.random), stage)

    def _new_bank(self, stage: Stage) -> None:
        """Fresh spectra; with several passes, also token sets of them with the teacher's answers, asked once."""
        self.bank_random = self.random.get_state()
        self.draw()
        self.position, self.stage = 0, stage
        if stage.passes > 1:
            everything = self.sets(torch.arange(self.size), stage)
            doubt = (everything.logits[:, 1] - everything.logits[:, 0]).abs() < DOUBT
            kept = doubt | (torch.rand(self.size, generator=self.random) < stage.keep_sure)
            self.bank = Batch(*(getattr(everything, field.name)[kept] for field in fields(Batch)))
        self.chance = self._chances(stage.hard) if stage.hard and self.student is not None else None

    def draw(self) -> Tensor:
        """Published reflectance (n, 268) that no call before has had; `sets` then numbers these."""
        self.sources.random = np.random.default_rng([self.seed, self.bank_number])
        self.bank_number += 1
        # Shares are rounded: a few spectra more or less than asked for.
        spectra = self.sources.disturb(self.sources.draw(self.shares, self.size + 16)[: self.size])
        self.spectra = torch.tensor(spectra).clamp(max=1.6)
        return self.spectra

    def _chances(self, hard: float) -> Tensor:
        """How often each set of the bank is visited (n,): a share of the visits goes by the student's present error."""
        assert self.student is not None
        logits, truth = answers(self.student, self.bank.toa, self.bank.wavelength)[1], self.bank.logits
        error = ((logits - truth) @ torch.tensor([-1.0, 1.0])).abs()
        error /= 1 + ((truth[:, 1] - truth[:, 0]) / DOUBT) ** 2
        error.clamp_(max=4 * float(error.mean()))
        return (1 - hard) / len(error) + hard * error / error.sum()

    def sets(self, rows: Tensor, stage: Stage) -> Batch:
        """Random bands of these spectra (b,), the first of them moved between bands, the last ones invented."""
        b, s, bands = len(rows), stage.tokens, len(self.wavelength)
        if s >= bands:
            chosen = torch.arange(bands).repeat(b, 1)
        elif s <= 16:
            chosen = torch.randint(bands, (b, s), generator=self.random)
        else:
            chosen = torch.rand(b, bands, generator=self.random).topk(s, 1).indices
        spectra = self.spectra[rows]
        toa, wavelength, ratio = spectra.gather(1, chosen), self.wavelength[chosen], self.units.emit[chosen]
        moved = int(b * stage.jitter)
        if moved:
            toa[:moved], wavelength[:moved] = self._between(spectra[:moved], chosen[:moved])
            ratio[:moved] = self.units.at(wavelength[:moved])
        invented = int(b * stage.invented)
        if invented:
            toa[-invented:] = 1.5 * torch.rand(invented, s, generator=self.random) ** 2
            wavelength[-invented:] = 3.4 * torch.rand(invented, s, generator=self.random) - 1.72
            ratio[-invented:] = self.units.at(wavelength[-invented:])
        return Batch(toa * ratio, wavelength, *answers(self.teacher, toa, wavelength))

    def _between(self, spectra: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """Reflectance and normalised wavelength at random places between each chosen band and the next."""
        share = torch.rand(chosen.shape, generator=self.random) * self.has_next[chosen]
        following = (chosen + 1).clamp(max=len(self.wavelength) - 1)
        toa = torch.lerp(spectra.gather(1, chosen), spectra.gather(1, following), share)
        return toa, torch.lerp(self.wavelength[chosen], self.wavelength[following], share)
