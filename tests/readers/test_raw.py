import numpy as np
import pytest

from spectf_cloud.errors import InputError
from spectf_cloud.readers.raw import read_raw


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", ">i2"])
def test_numbers_come_back_from_where_they_stand(tmp_path, dtype):
    values = np.arange(60).reshape(3, 4, 5).astype(dtype)
    (tmp_path / "x").write_bytes(b"seven b" + values.tobytes() + b"tail")
    np.testing.assert_array_equal(read_raw(tmp_path / "x", np.dtype(dtype), 7, (3, 4, 5)), values)


def test_a_file_that_shrank_or_went_is_an_error_not_a_crash(tmp_path):
    (tmp_path / "x").write_bytes(bytes(100))
    with pytest.raises(InputError, match=r"x ends at byte 100, 20 are missing"):
        read_raw(tmp_path / "x", np.dtype("<f4"), 80, (10,))
    (tmp_path / "x").unlink()
    with pytest.raises(InputError, match="No such file"):
        read_raw(tmp_path / "x", np.dtype("<f4"), 80, (10,))
