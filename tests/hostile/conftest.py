"""One tiny granule with its network serves every test that runs whole jobs."""

import pytest

from jobs import small_granule, small_weights


@pytest.fixture(scope="session")
def scene(tmp_path_factory):
    """Radiance file, geometry beside it, and weights; not to be changed."""
    folder = tmp_path_factory.mktemp("scene")
    return small_granule(folder / "in"), small_weights(folder)
