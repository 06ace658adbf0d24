"""Products in folders and archives: the same names and bytes from each, and nothing from a hostile one."""

import io
import tarfile
import zipfile

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from spectf_cloud.errors import InputError
from spectf_cloud.readers.delivery import is_archive, open_delivery
from spectf_cloud.readers.metadata_xml import number_of, read_xml, text_of

PIXELS = np.arange(30, dtype=np.uint16).reshape(1, 5, 6)


@pytest.fixture
def folder(tmp_path):
    inner = tmp_path / "product" / "IMG {1}"
    inner.mkdir(parents=True)
    (tmp_path / "product" / "MTD.xml").write_text("<A/>")
    place = from_origin(0, 5, 1, 1)
    with rasterio.open(inner / "band.TIF", "w", "GTiff", 6, 5, 1, dtype="uint16", transform=place) as raster:
        raster.write(PIXELS)
    return tmp_path / "product"


def pack(folder, form):
    path = folder.with_suffix(f".{form}")
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    if form.endswith("zip"):
        method = zipfile.ZIP_DEFLATED if form == "deflated.zip" else zipfile.ZIP_STORED
        with zipfile.ZipFile(path, "w", method) as archive:
            for file in files:
                archive.write(file, file.relative_to(folder).as_posix())
    else:
        with tarfile.open(path, "w:gz" if form == "tar.gz" else "w") as archive:
            archive.add(folder, "." if form == "dotted.tar" else "")
    return path


@pytest.mark.parametrize("form", ["folder", "zip", "deflated.zip", "tar", "dotted.tar", "tar.gz"])
def test_every_form_gives_the_same_names_and_bytes(folder, form):
    path = folder if form == "folder" else pack(folder, form)
    assert is_archive(path) == (form != "folder")
    delivery = open_delivery(path)
    assert delivery.names == ("IMG {1}/band.TIF", "MTD.xml")
    assert delivery.find("*.tif") == ("IMG {1}/band.TIF",)
    assert delivery.read("MTD.xml") == b"<A/>"
    with rasterio.open(delivery.gdal_path("IMG {1}/band.TIF")) as raster:
        np.testing.assert_array_equal(raster.read(), PIXELS)


def test_a_file_stands_for_its_folder(folder):
    assert open_delivery(folder / "MTD.xml").names == open_delivery(folder).names


@pytest.mark.parametrize("name", ["../out.tif", "/etc/passwd", "a/../../b", "a\\..\\..\\b"])
def test_names_that_lead_out_are_refused(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(name, b"")
    with pytest.raises(InputError, match="leads out"):
        open_delivery(tmp_path / "x.zip")


def test_a_bomb_a_link_and_a_stump_cost_a_line(tmp_path, folder):
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("B01.jp2", bytes(200 * 2**20))
    with pytest.raises(InputError, match="unpacks to"):
        open_delivery(tmp_path / "bomb.zip")
    with tarfile.open(tmp_path / "link.tar", "w") as archive:
        link = tarfile.TarInfo("band.TIF")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    with pytest.raises(InputError, match="is a link"):
        open_delivery(tmp_path / "link.tar")
    whole = pack(folder, "tar.gz").read_bytes()
    (tmp_path / "short.tar.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError):
        open_delivery(tmp_path / "short.tar.gz").read("MTD.xml")
    with pytest.raises(InputError, match="does not exist"):
        open_delivery(tmp_path / "none")


def test_damaged_members_are_named(tmp_path):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("MTD.xml", np.random.default_rng(0).bytes(999))
    broken = bytearray(content.getvalue())
    broken[60:90] = bytes(30)
    (tmp_path / "x.zip").write_bytes(broken)
    with pytest.raises(InputError, match=r"MTD\.xml cannot be read"):
        open_delivery(tmp_path / "x.zip").read("MTD.xml")


def test_xml_loses_its_namespaces():
    root = read_xml(b'<n:A xmlns:n="https://psd-15.example/"><n:B>7.5 </n:B><C/></n:A>', "MTD.xml")
    assert (root.tag, text_of(root, "B", "MTD.xml"), number_of(root, "B", "MTD.xml")) == ("A", "7.5", 7.5)
    with pytest.raises(InputError, match="has no C"):
        text_of(root, "C", "MTD.xml")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'<!DOCTYPE x [<!ENTITY a "aaaa">]><x>&a;</x>', "entities"),
        (b"<A><B></A>", "not whole XML"),
        (b"", "not whole XML"),
        (b"<?xml version='1.0' encoding='latin-99'?><A/>", "not whole XML"),
    ],
)
def test_hostile_xml_costs_a_line(content, message):
    with pytest.raises(InputError, match=message):
        read_xml(content, "MTD.xml")
