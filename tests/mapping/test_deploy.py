"""What the command line's tests do not see: seconds by stage, and products written side by side."""

import logging
import threading
import time
from dataclasses import replace

import pytest
import torch

from spectf_cloud.errors import OutputError
from spectf_cloud.inference.options import MaskOptions
from spectf_cloud.mapping.deploy import DeployJob, deploy
from spectf_cloud.mapping.outputs import Products
from spectf_cloud.model import ModelConfig
from spectf_cloud.products.cloud_mask import CloudMask
from spectf_cloud.simulation.granule import SimulationConfig, simulate_granule
from spectf_cloud.weights import OFFICIAL_IRRADIANCE


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Radiance and the weights of a small network: what it answers does not matter here."""
    folder = tmp_path_factory.mktemp("inputs")
    torch.save(ModelConfig(num_heads=1, dim_proj=8, dim_ff=8).build([400.0]).state_dict(), folder / "small.pt")
    shape, irradiance = "{num_heads: 1, dim_proj: 8, dim_ff: 8}", OFFICIAL_IRRADIANCE.sha256
    (folder / "small.yml").write_text(f"architecture: {shape}\nirradiance: {{sha256: {irradiance}}}\n")
    granule = simulate_granule(folder, SimulationConfig(lines=8, samples=12, seed=3))
    return granule.files["radiance"], str(folder / "small.pt")


@pytest.fixture
def job(inputs, tmp_path):
    radiance, weights = inputs
    products = Products(True, ortho=tmp_path / "o.tif", netcdf=tmp_path / "m.nc", quicklook=tmp_path / "q.png")
    return DeployJob(tmp_path / "m.tif", radiance, options=MaskOptions(weights=weights), products=products)


def test_seconds_by_stage_add_up_to_the_whole(job, caplog):
    before = time.perf_counter()
    with caplog.at_level(logging.INFO, "spectf_cloud"):
        seconds = deploy(job, began=before - 100).seconds
    assert list(seconds) == ["start-up", "toa", "inference", "waiting", "write", "whole", "read"]
    assert all(spent >= 0 for spent in seconds.values())
    parts = sum(seconds[stage] for stage in ("start-up", "toa", "inference", "waiting", "write"))
    assert parts == pytest.approx(seconds["whole"], abs=0.01)
    assert 100 < seconds["start-up"] < seconds["whole"] < 100.01 + time.perf_counter() - before
    assert "seconds: start-up 1" in caplog.text


def test_products_side_by_side_are_those_written_one_by_one(job, tmp_path):
    together = deploy(job).outputs
    only_mask = replace(job, out=tmp_path / "alone.tif", products=Products())
    for kind in ("ortho", "netcdf", "quicklook"):
        path = tmp_path / f"alone_{together[kind].name}"
        deploy(replace(only_mask, overwrite=True, products=Products(**{kind: path})))
        assert path.read_bytes() == together[kind].read_bytes(), kind
    assert only_mask.out.read_bytes() == together["mask"].read_bytes()


@pytest.mark.parametrize("why", ["large scene", "memory limit"])
def test_products_are_written_in_turn_where_memory_counts(job, monkeypatch, why):
    writing, most = [], []
    for name in ("to_geotiff", "to_probability_geotiff", "to_ortho", "to_netcdf", "to_quicklook"):
        written = getattr(CloudMask, name)

        def watched(mask, path, overwrite, written=written):
            writing.append(path)
            most.append(len(writing))
            time.sleep(0.05)  # others would start meanwhile
            written(mask, path, overwrite)
            writing.remove(path)

        monkeypatch.setattr(CloudMask, name, watched)
    if why == "large scene":
        monkeypatch.setattr("spectf_cloud.mapping.deploy._MAX_PIXELS_SIDE_BY_SIDE", 8 * 12 - 1)
        deploy(job)
    else:
        deploy(replace(job, options=replace(job.options, memory_limit="4GB")))
    assert most == [1] * 5


def test_a_product_that_fails_is_the_error_and_leaves_nothing_half_done(job, tmp_path, monkeypatch):
    def fail(mask, path, overwrite):
        raise OutputError(f"{path}: could not be written: the disk is full")

    monkeypatch.setattr(CloudMask, "to_netcdf", fail)
    with pytest.raises(OutputError, match="disk is full"):
        deploy(job)
    assert {path.name for path in tmp_path.iterdir()} <= {"m.tif", "m_prob.tif", "o.tif", "q.png"}
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("spectf")]
