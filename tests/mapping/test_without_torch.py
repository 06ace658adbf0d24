"""A mask on a CPU where PyTorch cannot be imported."""

import json
import subprocess
import sys

import numpy as np
import pytest
import rasterio
import torch
from safetensors.torch import save_file

import spectf_cloud as sc
from spectf_cloud.__main__ import main
from spectf_cloud.files.cache import cache_folder
from spectf_cloud.files.resources import resource

from scene_files import arrays, write_emit

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

SCRIPT = """
import json, sys
sys.modules["torch"] = None  # every import of it fails
from spectf_cloud.__main__ import main
print(json.dumps([main(words) for words in json.loads(sys.argv[1])]))
"""


def run_without_torch(*calls):
    """Exit codes of command lines, one after the other in one interpreter, and what they said."""
    words = json.dumps([[str(word) for word in call] for call in calls])
    ran = subprocess.run([sys.executable, "-c", SCRIPT, words], capture_output=True, text=True, check=True)
    return json.loads(ran.stdout.splitlines()[-1]), ran.stdout + ran.stderr


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    return write_emit(tmp_path_factory.mktemp("scene"), arrays(lines=12, samples=30))


@pytest.fixture(scope="module")
def threshold(scene):
    """A probability that half the pixels are above, and none is near."""
    probability = np.sort(sc.mask_scene(sc.open_scene(*scene)).probability, axis=None)
    middle = probability[len(probability) // 4 : 3 * len(probability) // 4]
    widest = np.diff(middle).argmax()
    return repr(float(middle[widest : widest + 2].mean()))


@pytest.fixture
def masked(scene, threshold, tmp_path, monkeypatch):
    """A function: the same job with and without PyTorch, each with tables of its own; the two masks."""

    kernels = cache_folder() / "kernels"
    kernels.mkdir(parents=True, exist_ok=True)

    def run(*options):
        paths = []
        for kind in ("with", "without"):
            (tmp_path / kind).mkdir()
            (tmp_path / kind / "kernels").symlink_to(kernels)
            monkeypatch.setenv("SPECTF_CACHE_DIR", str(tmp_path / kind))
            paths.append(tmp_path / f"{kind}.tif")
            call = ["deploy-pt", paths[-1], scene[1], scene[0], "--quiet", "--threshold", threshold, *options]
            codes = run_without_torch(call)[0] if kind == "without" else [main([str(word) for word in call])]
            assert codes == [0]
        return paths

    return run


@pytest.mark.parametrize("fidelity", ["faithful", "fast"])
def test_the_kernels_mask_has_the_same_bytes(masked, fidelity):
    ours, theirs = masked("--fidelity", fidelity)
    with rasterio.open(theirs) as file:
        assert file.tags()["SPECTF_BACKEND"].startswith("native-")
        assert set(np.unique(file.read())) == {0, 1}
    assert ours.read_bytes() == theirs.read_bytes()


def test_the_reference_is_named_and_gives_the_same_mask(masked):
    ours, theirs = masked("--fidelity", "exact")
    with rasterio.open(ours) as file, rasterio.open(theirs) as other:
        assert (file.tags()["SPECTF_BACKEND"], other.tags()["SPECTF_BACKEND"]) == ("torch-float32", "numpy-float32")
        np.testing.assert_array_equal(file.read(), other.read())


def test_weights_are_described_and_what_needs_pytorch_says_so(scene, tmp_path):
    state = torch.load(resource("weights.pt"), weights_only=True)
    save_file(state, tmp_path / "new.safetensors")
    (tmp_path / "new.json").write_text(json.dumps({"name": "mine", "threshold": 0.3}))
    torch.save(state, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    deploy = ["deploy-pt", tmp_path / "m.tif", scene[1], scene[0]]
    codes, said = run_without_torch(
        ["weights", "verify", "builtin"],
        ["weights", "info", tmp_path / "new.safetensors"],
        ["weights", "info", tmp_path / "old.pt"],
        [*deploy, "--device", "0"],
        ["deploy-trt", *deploy[1:]],
    )
    assert codes == [0, 0, 4, 4, 4]
    assert "25,538 parameters" in said and "mine" in said and said.count("pip install torch") >= 3
