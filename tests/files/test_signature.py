import gzip
import io
import tarfile
import zipfile

import numpy as np
import pytest

from spectf_cloud.dataset import open_cube
from spectf_cloud.errors import InputError


def zipped():
    with zipfile.ZipFile(stream := io.BytesIO(), "w") as archive:
        archive.writestr("granule.nc", b"x")
    return stream.getvalue()


def tarred():
    with tarfile.open(fileobj=(stream := io.BytesIO()), mode="w") as archive:
        archive.addfile(tarfile.TarInfo("granule.nc"))
    return stream.getvalue()


CONTENTS = {
    "netCDF-3": (b"CDF\x01" + bytes(100), "netCDF-3 .*nccopy -k nc4"),
    "64-bit offset": (b"CDF\x02" + bytes(100), "netCDF-3 .*nccopy -k nc4"),
    "CDF-5": (b"CDF\x05" + bytes(100), "netCDF-3 .*nccopy -k nc4"),
    "HDF4": (b"\x0e\x03\x13\x01" + bytes(100), "HDF4"),
    "zip": (zipped(), "zip archive.*unpack"),
    "gzip": (gzip.compress(b"x"), "gzip archive.*unpack"),
    "tar": (tarred(), "tar archive.*unpack"),
    "log-in page": (b"\r\n <!DOCTYPE html><html><title>Earthdata Login</title></html>", "web page.*log in"),
    "page without a type": (b"<HTML><body>403</body></HTML>", "web page.*log in"),
    "error of a server": (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "XML.*log in"),
    "JSON": (b'{"error": "invalid_token"}', "JSON"),
    "LFS": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
    "empty": (b"", "is empty; download or copy it again"),
    "noise": (np.random.default_rng(0).bytes(300), "not a netCDF-4/HDF5 file"),
}


@pytest.mark.parametrize("case", CONTENTS)
@pytest.mark.parametrize("name", ["EMIT_L1B_RAD_001.nc", "scene.h5"])
def test_a_file_that_no_reader_takes_is_named(tmp_path, case, name):
    content, message = CONTENTS[case]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        open_cube(tmp_path / name)
    assert "\n" not in str(caught.value) and name in str(caught.value)
    if case in ("netCDF-3", "HDF4", "zip", "tar", "gzip"):
        assert "download" not in str(caught.value)


def test_what_scipy_writes_is_netcdf_3(tmp_path):
    scipy_io = pytest.importorskip("scipy.io")
    with scipy_io.netcdf_file(tmp_path / "old.nc", "w") as file:
        file.createDimension("x", 3)
    with pytest.raises(InputError, match="netCDF-3"):
        open_cube(tmp_path / "old.nc")
