"""How faithful the kernel's arithmetic is, without a GPU: its plain reference, rounded where the kernel rounds.

    SPECTF_REFERENCE=... python -m evaluation.gpu.emulation OUT.json NAME=WEIGHTS ...

Spectra are the golden
ones inside the domain and fresh mixtures of simulated ones (`clock.Spectra`), which no table was built from. Tensor
cores add in another order, and the special-function unit's last bits differ: neither is emulated.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from evaluation.gpu.clock import Spectra
from evaluation.reference import distance, reference_folder
from evaluation.results import add, result
from spectf_cloud.inference.engines.cuda import reference as stages
from spectf_cloud.inference.engines.cuda.cache import load_cuda_tables
from spectf_cloud.inference.engines.cuda.launch import Variant
from spectf_cloud.inference.engines.cuda.launch import stages as stage_tiles
from spectf_cloud.inference.engines.cuda.tables import TILE, CudaTables
from spectf_cloud.inference.engines.native.reduction import DOMAIN
from spectf_cloud.models.load import load_model
from spectf_cloud.weights import find_weights

AT_ONCE = 8


def answers(tables: CudaTables, toa: Tensor, variant: Variant) -> tuple[Tensor, Tensor]:
    """Return (n,) probability and how many tiles of bands asked."""
    query, key, value = (part(tables, toa, True) for part in (stages.queries, stages.keys, stages.values))
    features = stages.features(tables, stages.attention(query, key, value, True), True)[:, tables.order.long()]
    ends = torch.arange(TILE, tables.bands + TILE, TILE).clamp(max=tables.bands) - 1
    logits = (features.cummax(dim=1).values @ tables.difference + tables.offset)[:, ends]
    done = torch.zeros_like(logits, dtype=torch.bool)
    for tile, limit in zip(stage_tiles(tables.bands), variant.early or (np.inf, np.inf), strict=True):
        done[:, tile - 1 :] |= logits[:, tile - 1 :].abs() > limit
    done[:, -1] = True
    last = done.int().argmax(dim=1)
    return logits.gather(1, last[:, None]).squeeze(1).sigmoid(), last + 1


def measured(
    tables: CudaTables, exact: Tensor, toa: Tensor, threshold: float, variant: Variant
) -> dict[str, tuple[float, str]]:
    """Return the distance from float32, and the mean number of tiles that asked."""
    parts = [answers(tables, piece, variant) for piece in toa.split(AT_ONCE)]
    made, tiles = (torch.cat(column) for column in zip(*parts, strict=True))
    found = distance(made.numpy(), exact.numpy(), threshold)
    return found | {f"tiles that asked of {-(-tables.bands // TILE)}": (float(tiles.float().mean()), "")}


@torch.inference_mode()
def main() -> None:
    """Measure all weights and sources."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("weights", nargs="+", help="NAME=WEIGHTS")
    parser.add_argument("--mixtures", type=int, default=1000)
    parser.add_argument("--golden-every", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    golden = np.load(reference_folder() / "golden/emit_spectra.npz")
    toa = torch.from_numpy(golden["toa_reflectance"].astype(np.float32))
    toa = toa[(toa.amin(1) >= DOMAIN[0]) & (toa.amax(1) <= DOMAIN[1])][:: asked.golden_every]
    mixtures = Spectra(golden["wavelength"], torch.device("cpu"), 7).draw(asked.mixtures)
    for name, spec in (given.split("=", 1) for given in asked.weights):
        weights = find_weights(spec)
        model = load_model(weights, golden["wavelength"])
        tables, _ = load_cuda_tables(model)
        for source, spectra in (("golden", toa), ("mixtures", mixtures)):
            both = torch.cat([model(piece.unsqueeze(-1)) for piece in spectra.split(AT_ONCE)])
            exact = torch.softmax(both, dim=-1)[:, 1]
            for label, variant in (("all bands", Variant(early=None)), ("until safe", Variant())):
                found = measured(tables, exact, spectra, weights.threshold, variant)
                for kind, (value, unit) in found.items():
                    add(asked.out, [result("emulation", name, source, label, kind, value=value, unit=unit)])
                print(name, source, label, found, flush=True)


if __name__ == "__main__":
    main()
