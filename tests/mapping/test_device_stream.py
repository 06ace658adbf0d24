"""The stream through a device, run on the CPU, against the stream of the CPU."""

import threading

import numpy as np
import pytest
import torch

from spectf_cloud.dataset import open_scene
from spectf_cloud.errors import InputError
from spectf_cloud.files.resources import resource
from spectf_cloud.inference.engines.device import DeviceTorch
from spectf_cloud.inference.engines.torch import TorchBackend
from spectf_cloud.mapping.device_stream import device_lines, run_on_device
from spectf_cloud.mapping.mask_scene import mask_scene
from spectf_cloud.mapping.stopwatch import Stopwatch
from spectf_cloud.mapping.stream import OnProcessor, run_stream
from spectf_cloud.model import ModelConfig
from spectf_cloud.models.load import load_model
from spectf_cloud.readers.irradiance import read_irradiance
from spectf_cloud.tokens import Tokens

from scene_files import WAVELENGTH_NM, arrays, obs_fields, wavelength_fields, write_emit, write_envi
from small_scenes import as_reflectance, tokens_of

KEPT = np.array([0, 1, 2, 5, 6, 7, 8, 9, 11])
SHOWN = np.array([0, 2, 8])
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(2)
    return ModelConfig().build(WAVELENGTH_NM[KEPT]).eval().requires_grad_(False)


@pytest.fixture
def tokens():
    fills = np.repeat([[0.0], [-50.0]], len(KEPT), axis=1)
    return tokens_of(KEPT, np.linspace(0.02, 0.05, len(KEPT)), fills=fills)


def gappy():
    """Radiance with every kind of gap, and a hole in a band that is not kept."""
    data = arrays(11, 7)
    data.radiance[2, 3, 5] = -9999
    data.radiance[3, 1, 0] = np.nan
    data.radiance[3, 2, 11] = np.inf
    data.radiance[5] = -9999
    data.radiance[6, 0, 3] = -9999  # not kept
    data.radiance[8, 1], data.radiance[8, 2] = 0, -50  # fill that no header declares
    data.radiance[8, 3], data.radiance[8, 3, 0] = 0, 1
    data.obs[7, 2, 4] = -9999
    data.obs[7, 3, 4] = 95  # the sun is down
    return data


def write(folder, storage):
    data = gappy()
    if storage == "contiguous":
        return write_emit(folder, data)
    if storage == "chunked":
        return write_emit(folder, data, chunks=(4, 7, 3))
    write_envi(folder / "rdn", data.radiance, interleave=storage, fields=wavelength_fields())
    write_envi(folder / "obs", data.obs, dtype="<f8", fields=obs_fields())
    return folder / "rdn", folder / "obs"


@pytest.mark.parametrize("storage", ["contiguous", "chunked", "bil", "bip", "bsq"])
def test_rows_are_those_of_the_cpu_stream(tmp_path, model, tokens, storage):
    scene = open_scene(*write(tmp_path, storage))
    compute = OnProcessor(tokens, SHOWN, TorchBackend(model, CPU, 1), 1, Stopwatch())
    expected = run_stream(scene, compute, 3, 11, Stopwatch())
    first = None
    for lines in (1, 4, 11):
        seen, watch = [], Stopwatch()
        rows = run_on_device(
            scene, tokens, SHOWN, DeviceTorch(model, CPU), lines, watch, lambda *done, seen=seen: seen.append(done)
        )
        np.testing.assert_array_equal(rows.preview, expected.preview)
        np.testing.assert_allclose(rows.probability, expected.probability, rtol=0, atol=1e-6)
        assert (rows.probability == -9999).sum() == 3 + 7 + 2 + 2
        first = first or rows
        np.testing.assert_array_equal(rows.probability, first.probability)  # blocks change no bit
        assert seen[-1] == (77, 77) and len(seen) == -(-11 // lines)
        assert set(watch.seconds) == {"read", "waiting", "inference"}


def test_reflectance_gives_the_rows_of_the_radiance_it_was_made_of(tmp_path, model):
    scene = open_scene(*write(tmp_path, "bil"))
    irradiance = read_irradiance(resource("irr.npy"))
    reflective = as_reflectance(scene, irradiance)
    rows = []
    for each, sunlight in ((scene, irradiance), (reflective, None)):
        tokens = Tokens.of_scene(each, sunlight, [(0, 0)]).only(KEPT)
        rows.append(run_on_device(each, tokens, SHOWN, DeviceTorch(model, CPU), 4, Stopwatch()))
    np.testing.assert_array_equal(rows[1].probability, rows[0].probability)
    np.testing.assert_array_equal(rows[1].preview, rows[0].preview)


def test_a_broken_file_ends_the_stream_and_is_the_error_raised(tmp_path, model, tokens):
    radiance, observation = write(tmp_path, "contiguous")
    scene = open_scene(radiance, observation)
    radiance.write_bytes(radiance.read_bytes()[: scene.image.offset + 4 * 7 * 12 * 4 + 8])
    with pytest.raises(InputError, match="are missing; copy it again"):
        run_on_device(scene, tokens, SHOWN, DeviceTorch(model, CPU), 2, Stopwatch())
    assert not [t.name for t in threading.enumerate() if t.name.startswith(("spectf-load", "spectf-read"))]


def test_an_interrupt_ends_the_stream(tmp_path, model, tokens):
    def interrupt(done, total):
        raise KeyboardInterrupt

    scene = open_scene(*write(tmp_path, "bil"))
    with pytest.raises(KeyboardInterrupt):
        run_on_device(scene, tokens, SHOWN, DeviceTorch(model, CPU), 1, Stopwatch(), interrupt)
    assert not [t.name for t in threading.enumerate() if t.name.startswith(("spectf-load", "spectf-read"))]


def test_a_whole_mask_through_the_device_stream(tmp_path):
    scene = open_scene(*write(tmp_path, "contiguous"))
    expected = mask_scene(scene, fidelity="exact", threads=1)

    def backends(wanted):
        return DeviceTorch(load_model(wanted.weights, wanted.wavelength_nm), CPU)

    made = mask_scene(scene, backends=backends)
    np.testing.assert_allclose(made.probability, expected.probability, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(made.preview.reflectance, expected.preview.reflectance)


def test_blocks_are_whole_chunks_and_never_longer_than_the_scene(tmp_path):
    scene = open_scene(*write(tmp_path, "chunked"))
    assert device_lines(scene, CPU) == 8
    assert device_lines(open_scene(*write(tmp_path, "bil")), CPU) == 11
