import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from spectf_cloud.errors import OutputError, UsageError
from spectf_cloud.files.atomic import atomic_output, check_folder_name, check_output, check_suffix, make_folder


def test_an_output_appears_whole_with_an_ordinary_mode(tmp_path):
    target, beside = tmp_path / "a.tif", tmp_path / "b.tif"
    beside.write_text("x")
    with atomic_output(target) as temporary:
        assert temporary.suffix == ".tif"
        assert temporary.parent == tmp_path
        temporary.write_text("whole")
        assert not target.exists()
    assert target.read_text() == "whole"
    assert target.stat().st_mode == beside.stat().st_mode
    assert sorted(tmp_path.iterdir()) == [target, beside]


def test_outputs_of_several_threads_keep_the_process_as_it_was(tmp_path):
    before = os.umask(0o027)

    def write(number):
        with atomic_output(tmp_path / f"{number}.tif") as temporary:
            temporary.write_text("whole")

    try:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(write, range(64)))
        assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o640}
    finally:
        assert os.umask(before) == 0o027


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failure_leaves_what_was_there(tmp_path, error):
    target = tmp_path / "a.tif"
    target.write_text("old")
    with pytest.raises(error), atomic_output(target, overwrite=True) as temporary:
        temporary.write_text("half")
        raise error
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_full_disk_is_an_output_error(tmp_path):
    with pytest.raises(OutputError, match="No space left"), atomic_output(tmp_path / "a.tif"):
        raise OSError(28, "No space left on device")


def test_through_a_link_the_file_it_points_to_is_replaced(tmp_path):
    target, link = tmp_path / "a.tif", tmp_path / "link.tif"
    target.write_text("old")
    link.symlink_to(target)
    with atomic_output(link, overwrite=True) as temporary:
        temporary.write_text("new")
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_what_is_no_plain_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name in ("pipe", "loop", "x" * 300, "nul\0"):
        with pytest.raises(OutputError):
            check_output(tmp_path / name, overwrite=True)


def test_refusals(tmp_path):
    existing = tmp_path / "a.tif"
    existing.touch()
    (tmp_path / "link.tif").symlink_to(existing)
    with pytest.raises(OutputError, match="--overwrite"):
        check_output(existing, overwrite=False)
    for target, inputs, message in (
        (existing, [existing], "is an input"),
        (tmp_path / "link.tif", [existing], "is an input"),
        (tmp_path, [], "is a folder"),
        (tmp_path / "absent" / "a.tif", [], "does not exist"),
    ):
        with pytest.raises(OutputError, match=message):
            check_output(target, overwrite=True, inputs=inputs)


@pytest.mark.parametrize(
    ("form", "good", "bad"),
    [
        ("GeoTIFF", ["a.tif", "a.TIFF", "a", "mask_v0.51", "a.tif.tmp"], ["a.nc", "a.PNG", "a.img", "a.tif.gz"]),
        ("netCDF", ["a.nc", "a.NC4"], ["a.tif", "a.h5", "a.zarr"]),
        ("PNG", ["a.png", "a.Png", "why"], ["a.tif", "a.jpg", "a.svg"]),
        ("ONNX", ["a.onnx", "model.v2"], ["a.pt", "a.engine", "a.safetensors"]),
        ("HDF5", ["a.h5", "a.HDF5"], ["a.csv", "a.nc", "a.parquet"]),
    ],
)
def test_a_suffix_may_not_promise_another_form(form, good, bad):
    for name in good:
        check_suffix(Path(name), form)
    for name in bad:
        with pytest.raises(UsageError, match=f"{form} is written here, but .* means .* ends in "):
            check_suffix(Path(name), form)


def test_a_new_folder_is_not_called_like_a_file(tmp_path):
    (tmp_path / "old.nc").mkdir()
    for name in ("old.nc", "granule", "run_v1.0"):
        check_folder_name(tmp_path / name)
    for name in ("granule.nc", "report.HTML"):
        with pytest.raises(UsageError, match="a folder is written here"):
            check_folder_name(tmp_path / name)


def test_a_folder_is_made_once_under_a_name_of_its_own(tmp_path):
    make_folder(tmp_path / "a" / "run.v2")
    make_folder(tmp_path / "a" / "run.v2")
    with pytest.raises(UsageError, match="name a folder"):
        make_folder(tmp_path / "report.html")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be made"):
        make_folder(tmp_path / "file" / "run")
