"""Small files of labelled spectra in the published schema, written by h5py alone."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

#: 24 bands, those of the rule-based mask among them.
BANDS_NM = np.sort(np.concatenate([np.linspace(410.0, 2450.0, 20), [450.0, 1250.0, 1380.0, 1650.0]]))


def make_rows(scenes: int = 6, per_scene: int = 40, seed: int = 0, bands: np.ndarray = BANDS_NM) -> dict:
    """Spectra that a model can learn: clouds are bright and flat, clear ones dark or sloped, shadows darkest."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, scenes * per_scene)
    slope = np.linspace(-0.5, 0.5, len(bands))
    level = np.choose(labels, [0.25, 0.6, 0.06])[:, None]
    tilt = np.where(labels[:, None] == 1, 0.05, 0.3) * rng.normal(size=(len(labels), 1))
    spectra = level * np.exp(tilt * slope + 0.15 * rng.normal(size=(len(labels), 1)))
    spectra = spectra + rng.normal(0, 0.01, spectra.shape)
    fids = [f"emit202301{day:02d}t10{day:02d}00".encode() for day in range(1, scenes + 1)]
    return {
        "spectra": spectra,
        "labels": labels.astype(np.int64),
        "fids": np.repeat(np.array(fids), per_scene),
        "indices": np.stack([np.arange(len(labels)), np.arange(len(labels)) * 2], 1),
        "bands": bands,
    }


def write_hdf5(path: Path, rows: dict, **storage: object) -> Path:
    """Every entry a data set, but ``bands`` an attribute; made with the published irradiance."""
    with h5py.File(path, "w") as file:
        file.attrs["irradiance"] = "published"
        for name, values in rows.items():
            if name == "bands":
                file.attrs["bands"] = values
            else:
                file.create_dataset(name, data=values, **(storage if name == "spectra" else {}))
    return path


def names(rows: dict) -> list[str]:
    """The scenes, sorted."""
    return sorted({fid.decode() for fid in rows["fids"]})


def write_split(folder: Path, rows: dict, test: int = 2) -> tuple[Path, Path]:
    """CSVs of training and test scenes, the last ``test`` of them for the test."""
    fids = names(rows)
    paths = folder / "train.csv", folder / "test.csv"
    for path, some in zip(paths, (fids[:-test], fids[-test:]), strict=True):
        path.write_text("\n".join(some) + "\n")
    return paths
