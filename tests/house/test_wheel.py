"""The wheel alone, in a bare environment outside the checkout."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import rasterio

from scene_files import raster

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = next((ROOT / "datasets" / "sample").glob("EMIT_L1B_RAD_*.nc"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    # The environment's own hatchling builds it: the same backend, and no download.
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)],
        check=True,
        capture_output=True,
        text=True,
    )
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_what_the_package_needs_and_nothing_else(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for name in ("weights.pt", "weights.yml", "irr.npy", "irr_astm_g173.npy", "spectf_cloud_config.yml"):
        assert f"spectf_cloud/resources/{name}" in names
    carried = ("scoring/report.html.j2", "archive/browse.html", "sensors.yml")
    assert {f"spectf_cloud/{name}" for name in carried} <= names
    assert {name.split("/")[0].split("-")[0] for name in names} == {"spectf_cloud"}


def test_the_wheel_masks_a_scene_outside_the_checkout(wheel, tmp_path):
    environment = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(environment / "bin" / "python"),
        "install",
        "--quiet",
        "--no-deps",
    ]
    subprocess.run([*pip, str(wheel)], check=True)
    # Dependencies come from the test environment; a path file does not bring its editable install along.
    library = next(environment.glob("lib/python*/site-packages"))
    (library / "dependencies.pth").write_text(f"{Path(rasterio.__file__).parents[1]}\n")
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "SPECTF"))}

    def run(*command):
        return subprocess.run(command, cwd=tmp_path, env=clean, check=True, capture_output=True, text=True).stdout

    where = run(environment / "bin" / "python", "-c", "import spectf_cloud; print(spectf_cloud.__file__)")
    assert Path(where.strip()).is_relative_to(environment)
    run(environment / "bin" / "spectf-cloud", "deploy-pt", "m.tif", SAMPLE)
    with raster(tmp_path / "m.tif") as mask:
        assert {0, 1} <= set(mask.read(1).ravel())
