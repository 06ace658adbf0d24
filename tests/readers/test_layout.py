from concurrent.futures import ThreadPoolExecutor

import h5py
import numpy as np
import pytest

from spectf_cloud.dataset import open_cube
from spectf_cloud.errors import InputError
from spectf_cloud.readers import layout as layouts
from spectf_cloud.readers.layout import layout_of

from scene_files import arrays, wavelength_fields, write_emit, write_envi


def lines_of(layout, start, stop):
    """Lines fetched as stored, turned to (lines, samples, bands)."""
    block = np.full(layout.block_shape(stop - start), np.nan, np.float32)
    with ThreadPoolExecutor(3) as pool:
        layout.read_into(block, start, pool)
    return block.transpose([layout.axes.index(i) for i in range(3)])


@pytest.mark.parametrize("interleave", ["bil", "bip", "bsq"])
def test_envi_lines_are_those_of_the_reader(tmp_path, monkeypatch, interleave):
    monkeypatch.setattr(layouts, "_PIECE_BYTES", 100)  # many pieces, on borders of nothing
    data = arrays(9, 5)
    write_envi(tmp_path / "rdn", data.radiance, interleave=interleave, offset=13, fields=wavelength_fields())
    cube = open_cube(tmp_path / "rdn")
    layout = layout_of(cube)
    for start, stop in ((0, 9), (2, 3), (5, 9)):
        np.testing.assert_array_equal(lines_of(layout, start, stop), cube.read(start, stop))


def test_contiguous_netcdf_lines_are_those_of_the_reader(tmp_path):
    data = arrays(9, 5)
    radiance, _ = write_emit(tmp_path, data)
    np.testing.assert_array_equal(lines_of(layout_of(open_cube(radiance)), 3, 8), data.radiance[3:8])


def test_what_only_the_reader_understands_has_no_layout(tmp_path):
    data = arrays()
    chunked, _ = write_emit(tmp_path, data, chunks=(2, 5, 3), compression="gzip")
    assert layout_of(open_cube(chunked)) is None
    with h5py.File(chunked, "r") as file:
        assert file["radiance"].chunks
    for name, more in {
        "swapped": {"dtype": ">f4"},
        "double": {"dtype": "<f8"},
        "counts": {"dtype": "<i2"},
        "scaled": {"fields": wavelength_fields() | {"data gain values": "{" + ", ".join(["2.0"] * 12) + "}"}},
    }.items():
        write_envi(tmp_path / name, data.radiance, **({"fields": wavelength_fields()} | more))
        assert layout_of(open_cube(tmp_path / name)) is None, name


def test_a_file_that_shrank_or_went_is_an_error(tmp_path):
    path, _ = write_emit(tmp_path, arrays(9, 5))
    layout = layout_of(open_cube(path))
    path.write_bytes(path.read_bytes()[: layout.offset + 500])
    with pytest.raises(InputError, match=f"ends at byte {layout.offset + 500:,}"):
        lines_of(layout, 0, 9)
    path.unlink()
    with pytest.raises(InputError, match="No such file"):
        lines_of(layout, 0, 9)
