import threading
import time
import weakref
from dataclasses import dataclass, replace

import numpy as np
import pytest

from spectf_cloud.errors import InputError
from spectf_cloud.inference.engines.torch import TorchBackend
from spectf_cloud.mapping.stopwatch import Stopwatch
from spectf_cloud.mapping.stream import OnProcessor, Rows, run_stream
from spectf_cloud.model import ModelConfig

from small_scenes import array_cube, make_scene, tokens_of


def scene_of(radiance):
    """A scene with this radiance (lines, samples, 6) and the sun at 40°."""
    scene = make_scene(*radiance.shape[:2])
    geometry = array_cube(np.full((*radiance.shape[:2], 2), (40.0, 1.0)), scene.observation.path)
    return replace(scene, image=replace(scene.image, values=radiance), observation=geometry)


def random_scene(lines, samples, seed=0):
    radiance = np.random.default_rng(seed).uniform(1, 9, (lines, samples, 6)).astype(np.float32)
    return scene_of(radiance)


@dataclass
class Means:
    """Not a network: the mean over the bands, told line by line; slow or failing where a test wants it."""

    workers: int = 2
    pixels: int = 1
    seconds: float = 0.0
    fails_at: float | None = None
    calls: int = 0

    def __call__(self, values, incidence_deg):
        self.calls += 1
        time.sleep(self.seconds)
        if self.fails_at is not None and (values == self.fails_at).any():
            raise InputError("this line is cursed; choose another")
        return Rows(values.mean(axis=2), values[..., :2] * np.float32(2))


def stream_threads():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("spectf-stream")]


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("lines_per_block", [1, 4, 100])
@pytest.mark.parametrize("pixels", [1, 20, 10_000])
def test_every_line_lands_in_its_row(workers, lines_per_block, pixels):
    scene = random_scene(23, 7)
    seen = []
    compute = Means(workers, pixels)
    rows = run_stream(
        scene,
        compute,
        2,
        lines_per_block,
        Stopwatch(),
        lambda done, total: seen.append((done, total, threading.get_ident())),
    )
    np.testing.assert_array_equal(rows.probability, scene.image.values.mean(axis=2))
    np.testing.assert_array_equal(rows.preview, scene.image.values[..., :2] * np.float32(2))
    done = [pixel for pixel, _, _ in seen]
    assert done == sorted(set(done)) and done[-1] == 23 * 7
    assert {(total, thread) for _, total, thread in seen} == {(23 * 7, threading.get_ident())}
    assert compute.calls == -(-23 // min(max(1, pixels // 7), lines_per_block))


def test_no_result_depends_on_workers_blocks_or_the_company_in_a_piece(tmp_path):
    wavelength_nm = np.linspace(450, 2300, 6)
    model = ModelConfig(num_heads=2, dim_proj=8, dim_ff=8).build(wavelength_nm).eval()
    backend = TorchBackend(model, next(model.parameters()).device, threads=1)
    tokens = tokens_of([0, 1, 3, 4, 5], np.linspace(0.02, 0.05, 5))
    model.wavelength = model.wavelength[tokens.kept]
    scene = random_scene(40, 9, seed=2)
    scene.image.values[3, :4, 1] = -9999
    scene.image.values[4, :, 2] = np.nan  # a band that is not kept
    first = None
    for workers, lines, pixels in ((1, 40, 1), (2, 7, 30), (3, 40, 1000), (2, 1, 1000)):
        watch = Stopwatch()
        compute = OnProcessor(tokens, np.array([0, 2]), backend, workers, watch)
        compute.pixels = pixels
        rows = run_stream(scene, compute, 2, lines, watch)
        first = first or rows
        np.testing.assert_array_equal(rows.probability, first.probability)
        np.testing.assert_array_equal(rows.preview, first.preview)
        assert set(watch.seconds) == {"read", "toa", "inference", "waiting"}
    assert (first.probability[3] == -9999).tolist() == [True] * 4 + [False] * 5
    assert np.isnan(first.preview[3, :4]).all() and np.isfinite(first.preview[4]).all()


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_of_a_worker_ends_the_stream_and_is_the_one_raised(workers):
    scene = random_scene(400, 3)
    scene.image.values[11, 1, 1] = 77
    compute = Means(workers, seconds=0.001, fails_at=77.0)
    with pytest.raises(InputError, match="this line is cursed"):
        run_stream(scene, compute, 2, 10, Stopwatch())
    assert not stream_threads()
    assert compute.calls < 60


def test_an_error_while_reading_ends_the_stream_and_is_the_one_raised():
    class Broken(type(random_scene(2, 2).radiance)):
        def read(self, start, stop, bands=None):
            if stop > 30:
                raise InputError("the disk is gone; plug it in")
            return super().read(start, stop, bands)

    scene = random_scene(400, 3)
    broken = Broken(**{name: getattr(scene.image, name) for name in scene.image.__dataclass_fields__})
    compute = Means()
    with pytest.raises(InputError, match="the disk is gone"):
        run_stream(replace(scene, image=broken), compute, 2, 10, Stopwatch())
    assert not stream_threads()
    assert compute.calls <= 30


def test_an_interrupt_ends_the_stream_without_computing_the_rest():
    def interrupt(done, total):
        raise KeyboardInterrupt

    compute = Means(seconds=0.005)
    with pytest.raises(KeyboardInterrupt):
        run_stream(random_scene(400, 3), compute, 2, 100, Stopwatch(), interrupt)
    assert not stream_threads()
    assert compute.calls < 20


@pytest.mark.parametrize("workers", [1, 3])
def test_no_more_than_two_blocks_are_held_however_slow_the_workers(workers):
    held = weakref.WeakSet()
    most = 0

    class Block(np.ndarray):
        """An array that a weak reference can point to."""

    class Counted(type(random_scene(2, 2).radiance)):
        def read(self, start, stop, bands=None):
            nonlocal most
            block = super().read(start, stop, bands).copy().view(Block)
            held.add(block)
            most = max(most, len(held))  # nothing waits for the garbage collector
            return block

    Block.__hash__ = object.__hash__
    scene = random_scene(60, 3)
    counted = Counted(**{name: getattr(scene.image, name) for name in scene.image.__dataclass_fields__})
    rows = run_stream(replace(scene, image=counted), Means(workers, seconds=0.002), 2, 5, Stopwatch())
    np.testing.assert_array_equal(rows.probability, scene.image.values.mean(axis=2))
    assert most == 2
