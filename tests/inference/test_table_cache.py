import logging
import os

import numpy as np
import pytest

from spectf_cloud.inference.engines.native.table_cache import keep_arrays, read_arrays

ARRAYS = {"curves": np.arange(12, dtype=np.float32).reshape(3, 4), "bands": np.asarray(7)}


@pytest.fixture
def kept(tmp_path):
    path = tmp_path / "tables" / "0123.tables"
    keep_arrays(path, ARRAYS)
    return path


def test_arrays_come_back_bit_for_bit_and_nothing_else_is_left(kept):
    again = read_arrays(kept)
    assert again.keys() == ARRAYS.keys()
    for name, values in ARRAYS.items():
        assert again[name].dtype == values.dtype
        np.testing.assert_array_equal(again[name], values)
    assert list(kept.parent.iterdir()) == [kept]


def test_any_change_is_noticed(kept, caplog):
    whole = kept.read_bytes()
    for at in range(0, len(whole), 7):
        changed = bytearray(whole)
        changed[at] ^= 1
        kept.write_bytes(changed)
        assert read_arrays(kept) is None
    for length in (0, 10, 32, 33, len(whole) - 1):
        kept.write_bytes(whole[:length])
        assert read_arrays(kept) is None
    assert "damaged; it is built again" in caplog.text
    kept.write_bytes(whole)
    assert read_arrays(kept) is not None


def test_tables_of_another_network_are_not_taken(kept):
    other = kept.with_name("4567.tables")
    other.write_bytes(kept.read_bytes())
    assert read_arrays(other) is None


def test_what_others_may_have_written_is_not_taken(kept, caplog):
    kept.chmod(0o666)
    with caplog.at_level(logging.WARNING, "spectf_cloud"):
        assert read_arrays(kept) is None
    assert "anyone may write to it" in caplog.text
    if os.getuid() == 0:  # only the superuser can give a file away
        kept.chmod(0o600)
        os.chown(kept, 12345, -1)
        assert read_arrays(kept) is None
        assert "belongs to another user" in caplog.text


def test_pickles_are_never_opened(kept):
    keep_arrays(kept, {"evil": np.array([{"a": 1}], dtype=object)})
    assert read_arrays(kept) is None


def test_a_cache_that_cannot_be_written_is_no_failure(tmp_path):
    (tmp_path / "file").write_text("in the way")
    keep_arrays(tmp_path / "file" / "0123.tables", ARRAYS)
    assert read_arrays(tmp_path / "file" / "0123.tables") is None
