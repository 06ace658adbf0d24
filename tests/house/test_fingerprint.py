"""Outputs of an archive are stale when any code that makes them changed."""

from spectf_cloud.archive.fingerprint import code_files

from test_floors import MODULES, PACKAGE, reach


def test_every_file_that_a_mask_goes_through_decides_its_key():
    hashed = set(code_files())
    used = {MODULES[module] for start in ("deploy", "mask_scene") for module in reach(f"spectf_cloud.mapping.{start}")}
    assert len(used) > 80
    assert not used - hashed


def test_so_does_what_is_not_python():
    hashed = set(code_files())
    rooms = {path for path in PACKAGE.glob("inference/**/*") if path.suffix in (".cpp", ".h", ".npz")}
    assert len(rooms) > 10 and rooms <= hashed
    assert PACKAGE / "products" / "thumbnail.py" in hashed
