"""Memory at full size: `make bench`, about a quarter of an hour."""

import subprocess
import sys

import pytest
import torch

from spectf_cloud.model import ModelConfig
from spectf_cloud.simulation.granule import SimulationConfig, simulate_granule
from spectf_cloud.weights import OFFICIAL_IRRADIANCE

SMALL = ModelConfig(num_heads=1, dim_proj=8, dim_ff=8)
# Not ru_maxrss: through exec it keeps the peak of the process that started this one.
SCRIPT = """
import sys
from pathlib import Path
from spectf_cloud.__main__ import main
assert main(sys.argv[1:]) == 0
print(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
"""


def peak_bytes(folder, lines, weights):
    """Peak resident memory of masking a simulated scene with every product.

    The network is a small one: its size does not change what the stream and the products hold.
    """
    folder.mkdir()
    granule = simulate_granule(folder, SimulationConfig(lines=lines, samples=1242, seed=lines))
    products = {"--ortho": "o.tif", "--netcdf": "m.nc", "--quicklook": "q.png"}
    options = [item for option, name in products.items() for item in (option, str(folder / name))]
    arguments = [
        "deploy-pt",
        folder / "m.tif",
        granule.files["radiance"],
        "--proba",
        "-q",
        "--weights",
        weights,
        *options,
    ]
    command = [sys.executable, "-c", SCRIPT, *map(str, arguments)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    granule.files["radiance"].unlink()
    return int(run.stdout) * 1024


@pytest.mark.slow
def test_memory_is_bounded_and_hardly_grows_with_the_scene(tmp_path):
    weights = tmp_path / "small.pt"
    torch.save(SMALL.build([400.0, 500.0]).state_dict(), weights)
    shape, irradiance = "{num_heads: 1, dim_proj: 8, dim_ff: 8}", OFFICIAL_IRRADIANCE.sha256
    (tmp_path / "small.yml").write_text(f"architecture: {shape}\nirradiance: {{sha256: {irradiance}}}\n")
    granule, twice = (peak_bytes(tmp_path / str(lines), lines, weights) for lines in (1280, 2560))
    print(f"\npeak resident memory: {granule / 1e6:.0f} MB with 1280 lines, {twice / 1e6:.0f} MB with 2560")
    assert granule <= 1.5e9
    assert twice <= 1.1 * granule
