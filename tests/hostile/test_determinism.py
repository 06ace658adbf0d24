"""Same input, same bytes. Block size, threads and formats: tests/mapping/test_mask_scene.py."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest

import spectf_cloud as sc

import crashes
from jobs import small_granule, small_weights, whole_job
from scene_files import FWHM_NM, WAVELENGTH_NM, arrays, obs_fields, write_envi


def digests(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def test_other_processes_write_the_same_bytes(tmp_path):
    """Another process, hash seed and thread count; every product."""
    radiance, weights = small_granule(tmp_path / "in"), small_weights(tmp_path)
    made = []
    for name, more in (("a", {"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "1"}), ("b", {"PYTHONHASHSEED": "2"})):
        out = tmp_path / name
        out.mkdir()
        arguments = crashes.command(whole_job(radiance, out, weights))
        command = [sys.executable, "-m", "spectf_cloud", *arguments, "-q"]
        environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"} | more
        subprocess.run(command, check=True, env=environment)
        made.append(digests(out))
    assert made[0] == made[1]
    assert len(made[0]) == 5


@pytest.mark.parametrize("fidelity", ["exact", "faithful"])
def test_the_order_of_bands_in_the_file_changes_no_bit(tmp_path, fidelity):
    data = arrays(lines=9, samples=8)
    probability = []
    for order in (np.arange(12), np.arange(12)[::-1], np.random.default_rng(3).permutation(12)):
        fields = {
            "wavelength": "{" + ", ".join(map(repr, WAVELENGTH_NM[order].tolist())) + "}",
            "fwhm": "{" + ", ".join(map(repr, FWHM_NM[order].tolist())) + "}",
        }
        write_envi(tmp_path / "a_rdn", data.radiance[..., order], fields=fields)
        write_envi(tmp_path / "a_obs", data.obs, fields=obs_fields())
        probability.append(sc.mask_scene(sc.open_scene(tmp_path / "a_rdn"), fidelity=fidelity).probability)
    np.testing.assert_array_equal(probability[1], probability[0])
    np.testing.assert_array_equal(probability[2], probability[0])


WATCHED = """
import os, sys
def note(event, arguments):
    if event.startswith("socket."):
        with open(sys.argv[1], "a") as file:  # children that are forked write there too
            file.write(f"{event} {arguments}\\n")
sys.addaudithook(note)
from spectf_cloud.__main__ import main
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize("weights", ["small", "builtin"])
def test_a_run_asks_for_no_socket(tmp_path, weights):
    """All products, in a process of its own: nor does any library that it imports (OpenVINO for small networks)."""
    notes = tmp_path / "sockets.txt"
    job = whole_job(small_granule(tmp_path / "in"), tmp_path, small_weights(tmp_path))
    command = crashes.command(job) if weights == "small" else ["deploy-pt", str(job.out), str(job.radiance)]
    environment = {name: value for name, value in os.environ.items() if name != "CI"}  # some report only outside CI
    subprocess.run([sys.executable, "-c", WATCHED, str(notes), *command, "-q"], check=True, env=environment)
    assert not notes.exists(), notes.read_text()


@pytest.mark.slow
def test_two_hundred_scenes_in_one_process_take_no_more_memory(tmp_path):
    radiance, weights = small_granule(tmp_path / "in"), small_weights(tmp_path)
    first, last = crashes.resident_growth(radiance, weights, tmp_path, scenes=200)
    assert last <= 1.05 * first


def test_growth_is_measured_at_all(tmp_path):
    """A dozen scenes: not yet a proof, but the same measurement."""
    radiance, weights = small_granule(tmp_path / "in"), small_weights(tmp_path)
    first, last = crashes.resident_growth(radiance, weights, tmp_path, scenes=12, warm_up=4)
    assert first > 50e6 and last < 1.2 * first
