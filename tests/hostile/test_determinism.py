"""Same input, same bytes. Block size, threads and formats: tests/mapping/test_mask_scene.py."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest

import spectf_cloud as sc

import crashes
from jobs import whole_job
from scene_files import FWHM_NM, WAVELENGTH_NM, arrays, obs_fields, write_envi


def digests(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


WATCHED = """
import os, sys
def note(event, arguments):
    if event.startswith("socket."):
        with open(sys.argv[1], "a") as file:  # children that are forked write there too
            file.write(f"{event} {arguments}\\n")
sys.addaudithook(note)
from spectf_cloud.__main__ import main
built_in, command, _, radiance = sys.argv[2:6]
sys.exit(main(sys.argv[3:]) or main([command, built_in, radiance, "-q"]))
"""


def test_other_processes_write_the_same_bytes_and_ask_for_no_socket(scene, tmp_path):
    """Another process, hash seed and thread count; every product.

    The first one masks with the bundled weights too: nor does a library that any backend imports ask for a socket.
    """
    notes, made = tmp_path / "sockets.txt", []
    watched = ["-c", WATCHED, str(notes), str(tmp_path / "builtin.tif")]
    for name, start, more in (
        ("a", watched, {"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "1"}),
        ("b", ["-m", "spectf_cloud"], {"PYTHONHASHSEED": "2"}),
    ):
        out = tmp_path / name
        out.mkdir()
        arguments = [*crashes.command(whole_job(scene[0], out, scene[1])), "-q"]
        environment = {key: value for key, value in os.environ.items() if key not in ("OMP_NUM_THREADS", "CI")} | more
        subprocess.run([sys.executable, *start, *arguments], check=True, env=environment)
        made.append(digests(out))
    assert made[0] == made[1]
    assert len(made[0]) == 5 and (tmp_path / "builtin.tif").exists()
    assert not notes.exists(), notes.read_text()


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


@pytest.mark.slow
def test_two_hundred_scenes_in_one_process_take_no_more_memory(scene, tmp_path):
    first, last = crashes.resident_growth(*scene, tmp_path, scenes=200)
    assert last <= 1.05 * first


def test_growth_is_measured_at_all(scene, tmp_path):
    """A few scenes: not yet a proof, but the same measurement."""
    first, last = crashes.resident_growth(*scene, tmp_path, scenes=6, warm_up=3)
    assert first > 50e6 and last < 1.2 * first
