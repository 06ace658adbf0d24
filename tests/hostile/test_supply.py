from evaluation.reliability import supply


def test_every_runtime_package_is_pinned_and_free_to_use():
    found = supply.dependencies()
    names = {dependency.name.lower() for dependency in found}
    assert {"torch", "numpy", "h5py", "rasterio", "typer"} <= names
    assert [dependency.name for dependency in found if not dependency.pinned] == []
    assert [dependency.name for dependency in found if dependency.strict] == []
    assert [dependency.name for dependency in found if dependency.licence == "not stated"] == []
