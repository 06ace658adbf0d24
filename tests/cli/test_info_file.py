"""`spectf-cloud info FILE`: what it says of every kind of file, for people and for programs."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest
from spectra_files import make_rows, write_hdf5

from spectf_cloud.__main__ import main
from spectf_cloud.files.resources import resource

from rasters import CENTRES_NM, PLACE, reflectance, write_raster
from scene_files import arrays, write_emit, write_envi_scene


@pytest.fixture
def tell(capsys):
    """What the command says of a file, as programs read it; its exit code and its error where there is one."""

    def asked(*words):
        code = main(["info", *map(str, words), "--json"])
        out = capsys.readouterr()
        told = json.loads(out.out.splitlines()[-1])
        return (told if code == 0 else told["message"]), code

    return asked


def good(answer):
    told, code = answer
    assert code == 0, told
    return told


def test_an_image(tmp_path, tell):
    path = write_raster(tmp_path / "x_20240203T040506.tif", (reflectance() * 1e4).round().astype("uint16"))
    told = good(tell(path))
    assert told["what"] == "GeoTIFF: toa reflectance" and told["event"] == "done"
    assert (told["lines"], told["samples"], told["bands"]) == (40, 30, 6)
    np.testing.assert_allclose(told["wavelength_nm"], CENTRES_NM)
    assert (told["quantity"], told["units"], told["scale"]) == ("toa_reflectance", "1", "0.0001")
    assert told["crs"] == "EPSG:32633" and told["geotransform"] == list(PLACE["transform"].to_gdal())
    assert told["pixel_size"] == 30 and told["bytes"] == path.stat().st_size and told["files"] == [str(path)]
    assert told["acquired"].startswith("2024-02-03") and told["stored"] == "uint16"
    assert any("open_raster" in way for way in told["can"]) and "32 bands" in told["missing"][0]
    assert any("99th percentile" in note for note in told["notes"])


def test_what_an_image_lacks_and_how_to_give_it(tmp_path, tell):
    path = write_raster(tmp_path / "x.tif", (reflectance() * 255).astype("uint8"))
    told = good(tell(path))
    assert told["what"] == "a GeoTIFF that does not say enough" and not told["can"]
    assert "--scale 0.00392157" in told["missing"][0] and told["bands"] == 6
    told = good(tell(path, "--scale", "0.00392157", "--quantity", "surface_reflectance"))
    assert (
        told["quantity"] == "surface_reflectance"
        and told["scale"] == "0.00392157"
        and "--scale" not in told["missing"][0]
    )
    unnamed = write_raster(tmp_path / "y.tif", reflectance().astype("f4"), tags=False, names=tuple("abcdef"))
    assert "--sensor" in good(tell(unnamed))["missing"][0]


def test_an_image_in_an_archive(tmp_path, tell):
    path = write_raster(tmp_path / "x.tif", reflectance().astype("f4"))
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.write(path, "x.tif")
    for spelling in (tmp_path / "x.zip", f"{tmp_path}/x.zip/x.tif", f"/vsizip/{tmp_path}/x.zip/x.tif"):
        told = good(tell(spelling))
        assert told["bands"] == 6 and told["files"] == [str(tmp_path / "x.zip")]


def test_a_granule_with_and_without_its_geometry(tmp_path, tell):
    for radiance, observation in (write_emit(tmp_path, arrays()), write_envi_scene(tmp_path, arrays())):
        told = good(tell(radiance))
        assert told["what"] == "radiance" and told["units"] == "uW cm-2 sr-1 nm-1" and told["bands"] == 12
        assert 30 < told["sun_zenith_deg"] < 40 and told["observation"] == observation.name
        assert told["can"][0] == f"deploy-pt OUT.tif {radiance}"
        told = good(tell(observation))
        assert told["what"].startswith("observation geometry") and str(observation) in told["can"][0]
        for file in {observation, observation.with_suffix(".hdr")}:
            file.unlink(missing_ok=True)
        told = good(tell(radiance))
        assert "OBS" in told["missing"][0] and not any("deploy" in way for way in told["can"])


def test_a_folder_of_granules(tmp_path, tell):
    write_emit(tmp_path, arrays())
    told = good(tell(tmp_path))
    assert told["granules"] == 1 and told["can"] == [f"deploy-many {tmp_path} --outdir OUT"]


def test_weights(tmp_path, tell):
    told = good(tell(resource("weights.pt")))
    assert told["what"] == "weights of a network (spectf)" and told["parameters"] == 25_538
    assert told["threshold"] == 0.51 and told["takes"] == ["radiance"] and told["classes"] == ["clear", "cloud"]
    onnx = tmp_path / "x.onnx"
    onnx.write_bytes(b"\x08\x08\x12\x07pytorch")
    told = good(tell(onnx))
    assert told["what"] == "an ONNX file" and "the weights that it was made from" in told["missing"][0]


def test_a_solar_irradiance(tmp_path, tell):
    told = good(tell(resource("irr.npy")))
    assert told["what"] == "a solar irradiance" and told["first_nm"] < 400 and "--irradiance" in told["can"][0]
    np.save(tmp_path / "x.npy", np.zeros(3))
    assert good(tell(tmp_path / "x.npy"))["what"] == "a NumPy array, not a scene"


def test_labelled_spectra(tmp_path, tell):
    path = write_hdf5(tmp_path / "x.hdf5", make_rows())
    told = good(tell(path))
    assert told["what"] == "labelled spectra" and told["can"][0] == f"dataset info {path}"
    assert told["clear"] + told["cloud"] + told["shadow"] == told["spectra"] > 0


def test_products_of_masking(tmp_path, tell):
    radiance, _ = write_emit(tmp_path, arrays())
    out = tmp_path / "mask.tif"
    assert main(["deploy-pt", str(out), str(radiance), "--proba", "--trust-input", "-q"]) == 0
    assert good(tell(out))["what"] == "a cloud mask that spectf-cloud wrote"
    told = good(tell(tmp_path / "mask_prob.tif"))
    assert told["what"].startswith("cloud probability") and told["SPECTF_THRESHOLD"] == "0.51"
    assert told["can"][0].startswith("threshold ") and (told["lines"], told["samples"]) == (7, 5)


OTHERS = {
    "x.png": (b"\x89PNG\r\n\x1a\n" + bytes(30), "a PNG picture, not a scene", "gdal_translate"),
    "x.pdf": (b"%PDF-1.7\n", "a PDF document, not a scene", "scene"),
    "x.jp2": (b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000 file, not a scene", "gdal_translate"),
    "x.html": (b"<!doctype html><title>Login</title>", "a web page, not a scene", "log in"),
    "x.nc": (b"CDF\x01" + bytes(30), "a netCDF-3 (classic) file, not a scene", "nccopy"),
    "x.txt": (b"hello\n", "a text, not a scene", ""),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_nothing_of_ours_is_named(tmp_path, tell, name):
    content, what, way_out = OTHERS[name]
    (tmp_path / name).write_bytes(content)
    told = good(tell(tmp_path / name))
    assert told["what"] == what and not told["can"] and way_out in " ".join(told["missing"])


UNREADABLE = {
    "empty.tif": b"", "noise.bin": np.random.default_rng(0).bytes(300), "cut.tif": b"II*\0\x08\0\0\0",
    "cut.nc": b"\x89HDF\r\n\x1a\n",
    "cut.pt": b"PK\x03\x04", "cut.zip": b"PK\x03\x04", "cut.safetensors": b"\xff" * 9, "cut.json": b'{"learner": ',
}  # fmt: skip


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_cannot_be_read_costs_one_line(tmp_path, tell, name):
    (tmp_path / name).write_bytes(UNREADABLE[name])
    told, code = tell(tmp_path / name)
    text = told if code else " ".join((told["what"], *told["missing"]))
    assert code in (0, 3) and "\n" not in text and "not foreseen" not in text
    assert code == 3 or told["missing"] or name == "cut.json"


def test_what_is_not_there(tmp_path, tell):
    assert tell(tmp_path / "x.tif") == (f"{tmp_path / 'x.tif'} does not exist", 3)
    told, code = tell(tmp_path)
    assert code == 3 and "is a folder" in told


def test_people_read_it_in_lines(tmp_path, capsys):
    path = write_raster(tmp_path / "x.tif", reflectance().astype("f4"))
    assert main(["info", str(path)]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == f"{path}: GeoTIFF: toa reflectance"
    rows = dict(line.strip().split("  ", 1) for line in shown[1:])
    assert rows["first nm"].strip() == "482" and rows["crs"].strip() == "EPSG:32633" and "geotransform" not in rows
    assert main(["info", "--sensor", "sentinel2"]) == 2
