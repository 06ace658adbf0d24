from __future__ import annotations

import os
import subprocess
import sys

import h5py
import numpy as np
import pytest
from spectra_files import BANDS_NM, make_rows, names, write_hdf5

from spectf_cloud.data.spectra import open_spectra
from spectf_cloud.errors import InputError, OutputError, UsageError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("SPECTF_CACHE_DIR", str(folder))
    return folder / "spectra"


def test_two_files_become_one_table(tmp_path):
    first, second = make_rows(scenes=3, seed=1), make_rows(scenes=5, per_scene=30, seed=2)
    paths = [
        write_hdf5(tmp_path / "a.h5", first),
        write_hdf5(tmp_path / "b.h5", second, chunks=(16, 24), compression="gzip"),
    ]
    spectra = open_spectra(paths)
    expected = np.concatenate([first["spectra"], second["spectra"]])
    rows = np.random.default_rng(0).permutation(len(expected))
    assert np.array_equal(spectra.take(rows), expected[rows].astype(np.float32))
    assert np.array_equal(np.concatenate(list(spectra.blocks(rows, 7))), spectra.take(rows))
    labels = np.concatenate([first["labels"], second["labels"]])
    assert np.array_equal(spectra.labels, labels) and np.array_equal(spectra.cloud, labels == 1)
    assert spectra.fids == tuple(names(second))  # a scene in both files is one scene
    fids = np.concatenate([first["fids"], second["fids"]])
    assert [spectra.fids[number].encode() for number in spectra.scene] == fids.tolist()
    assert np.array_equal(spectra.rows_of([spectra.fids[0]]), np.flatnonzero(fids == fids[0]))
    assert spectra.counts().sum() == len(labels) and spectra.counts()[:, 2].sum() == (labels == 2).sum()
    assert np.array_equal(spectra.wavelength_nm, BANDS_NM)


def test_the_cache_is_reused_and_a_damaged_or_outdated_one_made_again(tmp_path, cache):
    rows = make_rows()
    path = write_hdf5(tmp_path / "a.h5", rows)
    calls = []
    open_spectra(path, progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (240, 240)
    calls.clear()
    open_spectra(path, progress=lambda *at: calls.append(at))
    assert not calls and len(list(cache.iterdir())) == 1
    damaged = next(cache.glob("*/toa.f32"))
    content = bytearray(damaged.read_bytes())
    content[100] ^= 1
    damaged.write_bytes(content)
    again = open_spectra(path, progress=lambda *at: calls.append(at))
    assert calls and np.array_equal(again.take(np.arange(240)), rows["spectra"].astype(np.float32))
    rows["spectra"] = rows["spectra"] * 2
    write_hdf5(path, rows)
    os.utime(path, ns=(1, 1))
    assert np.array_equal(open_spectra(path).take(np.arange(240)), rows["spectra"].astype(np.float32))


def broken(**changes):
    rows = make_rows()
    for name, change in changes.items():
        if change is None:
            del rows[name]
        else:
            rows[name] = change(rows[name])
    return rows


def put(index, value):
    def change(values):
        values = values.copy()
        values[index] = value
        return values

    return change


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"bands": None}, "no attribute 'bands'"),
        ({"labels": None}, "no data set 'labels'"),
        ({"bands": lambda b: b[:-1]}, "do not have the 23 bands"),
        ({"bands": put(3, np.nan)}, "positive numbers"),
        ({"labels": put(7, 3)}, "label 3 of spectrum 7"),
        ({"labels": put(7, -1)}, "label -1 of spectrum 7"),
        ({"labels": lambda v: v[:-1]}, "'labels' is"),
        ({"spectra": put((5, 2), np.nan)}, "spectrum 5 holds NaN"),
        ({"spectra": put((5, 2), np.inf)}, "spectrum 5 holds NaN"),
        ({name: lambda v: v[:0] for name in ("spectra", "labels", "fids", "indices")}, "no spectra"),
    ],
)
def test_a_bad_file_is_refused_and_leaves_nothing(tmp_path, cache, changes, words):
    path = write_hdf5(tmp_path / "bad.h5", broken(**changes))
    with pytest.raises(InputError, match=words) as error:
        open_spectra(path)
    assert str(path) in str(error.value)
    assert not list(cache.rglob("*"))


def test_bands_must_agree(tmp_path):
    first = write_hdf5(tmp_path / "a.h5", make_rows())
    moved = write_hdf5(tmp_path / "b.h5", make_rows(bands=BANDS_NM + 0.5))
    fewer = write_hdf5(tmp_path / "c.h5", make_rows(bands=BANDS_NM[:-1]))
    with pytest.raises(InputError, match=r"differ from .*a.h5 by up to 0.5 nm"):
        open_spectra([first, moved])
    with pytest.raises(InputError, match="has 23 bands"):
        open_spectra([first, fewer])
    with pytest.raises(UsageError, match="twice"):
        open_spectra([first, first])


def test_truncated_missing_and_foreign_files(tmp_path, cache):
    path = write_hdf5(tmp_path / "a.h5", make_rows())
    whole = path.read_bytes()
    for share in (0.2, 0.9):
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(InputError, match="truncated"):
            open_spectra(path)
    path.write_text("no HDF5")
    with pytest.raises(InputError, match="HDF5"):
        open_spectra(path)
    with pytest.raises(InputError, match="no such file"):
        open_spectra(tmp_path / "none.h5")
    assert not list(cache.rglob("*"))


def test_a_full_disk_while_caching_leaves_nothing(tmp_path, cache):
    """The kernel refuses to write beyond a size: what a full disk does, without filling one."""
    path = write_hdf5(tmp_path / "a.h5", make_rows(scenes=20, per_scene=200))
    code = f"""
import resource
from spectf_cloud.errors import OutputError
from spectf_cloud.data.spectra import open_spectra
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    open_spectra({str(path)!r})
except OutputError as error:
    print(error)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "could not be cached" in said and "SPECTF_CACHE_DIR" in said
    assert not list(cache.rglob("*"))


def test_too_little_room_is_seen_before_writing(tmp_path, monkeypatch):
    path = write_hdf5(tmp_path / "a.h5", make_rows())
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("shutil.disk_usage", lambda folder: usage)
    with pytest.raises(OutputError, match="are free"):
        open_spectra(path)


def test_memory_does_not_grow_with_the_spectra(tmp_path):
    """120 MB of float64 spectra are cached within 60 MB of anonymous memory."""
    with h5py.File(tmp_path / "large.h5", "w") as file:
        file.attrs["bands"] = np.linspace(400, 2400, 100)
        data = file.create_dataset("spectra", (150_000, 100), np.float64)
        for start in range(0, 150_000, 10_000):
            data[start : start + 10_000] = np.linspace(0.2, 0.5, 100) * (1 + start / 150_000)
        file["labels"] = np.zeros(150_000, np.int64)
        file["fids"] = np.full(150_000, b"scene")
        file["indices"] = np.zeros((150_000, 2), np.int64)
    code = f"""
import re
from pathlib import Path
def anonymous():
    return int(re.search(r"RssAnon:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
from spectf_cloud.data.spectra import open_spectra
peak, before = [0], anonymous()
spectra = open_spectra({str(tmp_path / "large.h5")!r}, progress=lambda *at: peak.append(anonymous()))
import numpy as np
for block in spectra.blocks(np.arange(len(spectra))):
    peak.append(anonymous())
print(max(peak) - before)
"""
    grown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert 0 < float(grown) < 70
