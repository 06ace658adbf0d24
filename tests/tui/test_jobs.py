"""Jobs are real child processes: what they say, how they end, and that they leave nothing half done."""

import asyncio
import os
import signal

import numpy as np
import pytest

from spectf_cloud.products.geotiff import Georeference, write_geotiff
from spectf_cloud.products.profiles import PROBABILITY
from spectf_cloud.tui.jobs import Job, JobQueue, State, run_once

# Long enough to be caught at work, and needs no PyTorch.
LONG = ("simulate", "--lines", "1280", "--samples", "1242", "--preset", "clear")


@pytest.fixture
def probability(tmp_path):
    path = tmp_path / "x_prob.tif"
    values = np.linspace(0, 1, 20, dtype=np.float32).reshape(4, 5)
    write_geotiff(path, values, PROBABILITY, Georeference(), {"SPECTF_THRESHOLD": "0.5"})
    return path


async def comes(condition):
    while not condition():
        await asyncio.sleep(0.02)


async def until(condition):
    await asyncio.wait_for(comes(condition), 240)


async def test_jobs_run_in_turn_and_tell_their_results(probability, tmp_path):
    seen = []
    queue = JobQueue(lambda job: seen.append((job.number, str(job.state))))
    done = queue.add(["threshold", str(probability), str(tmp_path / "a.tif"), "--threshold", "0.5"], "first")
    refused = queue.add(["threshold", str(probability), str(tmp_path / "a.tif")], "second")
    assert (done.state, refused.state) == (State.queued, State.queued)
    await until(lambda: not queue.busy)
    assert (done.state, done.result["cloud_fraction"], done.fraction) == (State.done, 0.5, 1.0)
    assert refused.state is State.failed
    assert "exists already" in refused.error
    assert seen.index((1, "done")) < seen.index((2, "running"))


async def test_a_cancelled_job_leaves_nothing_and_the_next_one_runs(probability, tmp_path):
    out = tmp_path / "granule"
    out.mkdir()
    queue = JobQueue(lambda job: None)
    long = queue.add([LONG[0], str(out), *LONG[1:]], "long")
    never = queue.add([LONG[0], str(out), *LONG[1:]], "never")
    after = queue.add(["threshold", str(probability), str(tmp_path / "b.tif")], "after")
    queue.cancel(never)
    await until(lambda: long.total > 0 or long.over)
    queue.cancel(long)
    assert long.state is State.stopping
    await until(lambda: not queue.busy)
    assert (long.state, never.state, after.state) == (State.cancelled, State.cancelled, State.done)
    assert list(out.iterdir()) == []
    assert never.process_id is None


async def test_a_killed_child_is_a_failed_job_that_says_so(tmp_path):
    queue = JobQueue(lambda job: None)
    job = queue.add([LONG[0], str(tmp_path), *LONG[1:]], "long")
    await until(lambda: job.process_id is not None)
    os.kill(job.process_id, signal.SIGKILL)
    await until(lambda: job.over)
    assert job.state is State.failed
    assert "SIGKILL" in job.error


async def test_whoever_stops_waiting_takes_the_child_along(tmp_path):
    started = []

    async def wait():
        await run_once([LONG[0], str(tmp_path), *LONG[1:]])

    def children():
        mine = f"/proc/{os.getpid()}/task/{os.getpid()}/children"
        with open(mine) as stream:  # noqa: PTH123
            return [int(word) for word in stream.read().split()]

    before = set(children())
    task = asyncio.create_task(wait())
    await until(lambda: started.extend(set(children()) - before) or started)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: not set(started) & set(children()))


def test_a_rate_is_told_from_the_events_alone():
    job = Job(("deploy-pt",), "t", 1, State.done, done=1000, total=1000)
    job._marks = [(0.0, 0), (4.0, 100), (13.0, 1000)]
    assert (job.steady_rate.pixels_per_s, job.steady_rate.start_s, job.steady_rate.pixels) == (100.0, 3.0, 1000)
    job._marks = [(0.0, 0), (4.0, 1000)]
    assert job.steady_rate is None
