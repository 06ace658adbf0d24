"""The straightforward way, to measure against: a plain module, nn.MultiheadAttention, a DataLoader by pixel."""

from __future__ import annotations

import torch
from schedulefree import AdamWScheduleFree
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from spectf_cloud.model import ModelConfig, normalise_wavelength
from spectf_cloud.training.config import CLIP_NORM, WARMUP_STEPS


class Pixels(Dataset):
    """One spectrum and its label at a time."""

    def __init__(self, spectra, rows) -> None:
        self.toa = torch.from_numpy(spectra.take(rows))
        self.cloud = torch.from_numpy(spectra.cloud[rows].astype("int64"))

    def __len__(self) -> int:
        return len(self.toa)

    def __getitem__(self, row: int) -> dict[str, Tensor]:
        return {"spectra": self.toa[row].unsqueeze(-1), "label": self.cloud[row]}


class Embedding(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(2, dim)

    def forward(self, tokens: Tensor) -> Tensor:
        return torch.tanh(self.linear(tokens))


class Attention(nn.Module):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(
            config.dim_proj, config.num_heads, dropout=config.dropout, batch_first=True
        )

    def forward(self, tokens: Tensor) -> Tensor:
        mixed, _ = self.attention(tokens, tokens, tokens)
        return mixed


class FeedForward(nn.Module):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.linear1 = nn.Linear(config.dim_proj, config.dim_ff)
        self.linear2 = nn.Linear(config.dim_ff, config.dim_proj)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.linear2(self.dropout(nn.functional.gelu(self.linear1(tokens))))


class Layer(nn.Module):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.attention, self.ff = Attention(config), FeedForward(config)
        self.norm1, self.norm2 = nn.LayerNorm(config.dim_proj), nn.LayerNorm(config.dim_proj)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        attended = self.dropout(self.attention(self.norm1(tokens)))
        return self.dropout(self.ff(self.norm2(attended)))


class Straightforward(nn.Module):
    """The published architecture with the published parameter names."""

    def __init__(self, config: ModelConfig, wavelength_nm) -> None:
        super().__init__()
        self.register_buffer("wavelength", normalise_wavelength(wavelength_nm), persistent=False)
        self.spectral_embed = Embedding(config.dim_proj)
        self.layers = nn.ModuleList([Layer(config)])
        self.head = nn.Linear(config.dim_proj, 2)

    def forward(self, x: Tensor) -> Tensor:
        wavelength = self.wavelength.view(1, -1, 1).expand(x.shape[0], -1, 1)
        tokens = self.spectral_embed(torch.cat([x, wavelength], -1))
        for layer in self.layers:
            tokens = layer(tokens)
        return self.head(tokens.max(1).values)


def train_steps(model: nn.Module, spectra, rows, batch: int, lr: float):
    """Yield the loss of each step over the rows in their order."""
    optimiser = AdamWScheduleFree(model.parameters(), lr=lr, warmup_steps=WARMUP_STEPS)
    criterion = nn.CrossEntropyLoss()
    model.train()
    optimiser.train()
    for sample in DataLoader(Pixels(spectra, rows), batch_size=batch, shuffle=False):
        optimiser.zero_grad()
        loss = criterion(model(sample["spectra"]), sample["label"])
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM)
        optimiser.step()
        yield loss.item()
