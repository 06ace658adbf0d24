"""Addresses: read in parts from a server on this machine, never whole, and no secret of theirs in any word."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import spectf_cloud as sc
from spectf_cloud.errors import InputError
from spectf_cloud.readers.places import find_place

from range_server import serve
from rasters import reflectance, write_raster


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def test_a_geotiff_on_a_server_is_read_in_parts(tmp_path):
    truth = reflectance(1024, 512)
    tiles = {"tiled": True, "blockxsize": 64, "blockysize": 64, "interleave": "band"}
    content = write_raster(tmp_path / "x.tif", truth.astype("f4"), **tiles).read_bytes()
    with serve({"/a/x.tif": content}) as server:
        address = f"{server.address}/a/x.tif"
        scene = sc.open_raster(address)
        np.testing.assert_allclose(scene.image.read(300, 310, np.array([2])), truth[300:310][..., [2]], rtol=1e-6)
        assert server.sent < 0.6 * len(content)
        assert {path for path, _ in server.answers} == {"/a/x.tif"}  # no folder listed, no file beside it
        assert scene.files == () and scene.name == "x"
        for spelling in (Path(address), f"/vsicurl/{address}", Path(f"/vsicurl/{address}")):
            assert sc.open_raster(spelling).lines == 1024


def test_what_a_server_does_not_do_costs_one_line(tmp_path):
    content = write_raster(tmp_path / "x.tif", reflectance().astype("f4")).read_bytes()
    with serve({"/x.tif": content, "/page.tif": b"<html>log in</html>"}) as server:
        for name in ("/absent.tif", "/page.tif"):
            with pytest.raises(InputError, match=f"{name}: cannot be read in parts.*download it") as caught:
                sc.open_raster(server.address + name)
            assert "\n" not in str(caught.value) and server.address in str(caught.value)
    with pytest.raises(InputError, match="cannot be read in parts"):
        sc.open_raster(server.address + "/x.tif?gone")


def test_a_server_without_parts_is_an_error_or_right(tmp_path):
    truth = reflectance()
    content = write_raster(tmp_path / "x.tif", truth.astype("f4")).read_bytes()
    with serve({"/x.tif": content}, ranges=False) as server:
        try:
            read = sc.open_raster(f"{server.address}/x.tif").image.read(0, 40)
        except InputError as error:
            assert "a server that sends parts of files is needed" in str(error)
        else:
            np.testing.assert_allclose(read, truth, rtol=1e-6)


def test_a_connection_that_breaks_while_reading_names_the_address(tmp_path):
    content = write_raster(tmp_path / "x.tif", reflectance(2000, 600).astype("f4")).read_bytes()
    with serve({"/x.tif": content}) as server:
        scene = sc.open_raster(f"{server.address}/x.tif")
    with pytest.raises(InputError, match=rf"{server.address}/x\.tif: cannot be read in parts"):
        scene.image.read(777, 790)


def test_what_is_secret_in_an_address_is_never_said(tmp_path):
    content = write_raster(tmp_path / "x.tif", reflectance().astype("f4")).read_bytes()
    with serve({"/x.tif": content}) as server:
        signed = server.address.replace("//", "//user:word@") + "/x.tif?signature=geheim"
        scene = sc.open_raster(signed)
        with pytest.raises(InputError) as caught:
            sc.open_raster(signed.replace("x.tif", "y.tif"))
    said = " ".join((repr(scene), str(scene.tags), str(scene.image.facts), str(scene.image.path), str(caught.value)))
    assert "geheim" not in said and "word" not in said and "user" not in said and "x.tif" in said


NAMES = {
    "https://h/a.tif": "/vsicurl/https://h/a.tif",
    "s3://bucket/a/b.tif": "/vsis3/bucket/a/b.tif",
    "/vsis3/bucket/b.tif": "/vsis3/bucket/b.tif",
    "/vsicurl/https://h/a.tif?x=1": "/vsicurl/https://h/a.tif?x=1",
}


@pytest.mark.parametrize("spelling", NAMES)
def test_gdals_names_of_addresses(spelling):
    assert find_place(spelling).name == find_place(Path(spelling)).name == NAMES[spelling]


REFUSED = [
    "https://h/a.nc", "https://h/a.zip", "https://h/a.SAFE", "ftp://h/a.tif", "gs://b/a.tif", "file:///etc/passwd",
    "/vsimem/a.tif", "/vsizip//vsicurl/https://h/a.zip/b.tif", "/vsizip/https://h/a.zip/b.tif", "/vsistdin/",
]  # fmt: skip


@pytest.mark.parametrize("spelling", REFUSED)
def test_other_places_are_refused_with_the_way_out(spelling):
    for spec in (spelling, Path(spelling)):
        with pytest.raises(InputError, match="download it"):
            find_place(spec)
