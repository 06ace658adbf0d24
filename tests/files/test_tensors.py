"""Tensors read without PyTorch, against what PyTorch reads."""

import io
import pickle
import struct
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from spectf_cloud.errors import WeightsError
from spectf_cloud.files.tensors import read_tensors, write_safetensors

DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


@st.composite
def tensors(draw):
    """A tensor as somebody may have made it: transposed, a part of a larger one, expanded, a parameter, a scalar."""
    shape = draw(st.lists(st.integers(0, 5), max_size=4))
    torch.manual_seed(draw(st.integers(0, 99)))
    made = torch.randn(shape).to(draw(st.sampled_from(DTYPES)))
    if made.ndim > 1 and draw(st.booleans()):
        made = made.transpose(0, draw(st.integers(1, made.ndim - 1)))
    if made.ndim and draw(st.booleans()):
        made = made[draw(st.integers(0, 2)) :: draw(st.integers(1, 3))]
    if draw(st.booleans()):
        made = made.expand(2, *made.shape)
    return torch.nn.Parameter(made) if draw(st.booleans()) else made


def assert_same(found, state):
    assert list(found) == list(state)
    for name, tensor in state.items():
        wanted = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).detach().numpy()
        assert found[name].dtype == wanted.dtype
        np.testing.assert_array_equal(found[name], wanted)


@settings(max_examples=60, deadline=None)
@given(state=st.dictionaries(st.text(min_size=1, max_size=9), tensors(), max_size=4))
def test_state_dicts_are_read_as_pytorch_reads_them(tmp_path_factory, state):
    path = tmp_path_factory.mktemp("state") / "w.pt"
    if len(state) > 1:  # two names of one storage
        state["tied"] = next(iter(state.values()))
    torch.save(state, path)
    assert_same(read_tensors(path), torch.load(path, weights_only=True))
    torch.save(state, path, _use_new_zipfile_serialization=False)
    assert_same(read_tensors(path), torch.load(path, weights_only=True))


@settings(max_examples=20, deadline=None)
@given(state=st.dictionaries(st.text("abc.", min_size=1, max_size=9), tensors(), max_size=4))
def test_safetensors_are_read_as_pytorch_reads_them(tmp_path_factory, state):
    path = tmp_path_factory.mktemp("state") / "w.safetensors"
    state = {name: tensor.detach().clone().contiguous() for name, tensor in sorted(state.items())}
    save_file(state, path)
    found = read_tensors(path)
    assert_same(dict(sorted(found.items())), state)
    write_safetensors(path, found)
    assert read_tensors(path).keys() == found.keys()


def test_a_networks_own_state_dict_is_read(tmp_path):
    """With its metadata, which PyTorch keeps as an attribute."""
    state = torch.nn.MultiheadAttention(8, 2).state_dict()
    torch.save(state, tmp_path / "w.pt")
    assert_same(read_tensors(tmp_path / "w.pt"), state)


def rewritten(path, **entries):
    """Replace entries of an archive that torch.save wrote."""
    content = io.BytesIO(path.read_bytes())
    with zipfile.ZipFile(content) as before, zipfile.ZipFile(path, "w") as after:
        for entry in before.infolist():
            name = entry.filename.split("/", 1)[1]
            after.writestr(entry.filename, entries.get(name, before.read(entry)))


def test_numbers_of_a_big_endian_machine_are_turned(tmp_path):
    path = tmp_path / "w.pt"
    torch.save({"a": torch.tensor([1.5, -2.0])}, path)
    rewritten(path, byteorder=b"big", **{"data/0": struct.pack(">2f", 1.5, -2.0)})
    np.testing.assert_array_equal(read_tensors(path)["a"], np.float32([1.5, -2.0]))


#: Reference to four numbers of float32.
STORAGE = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x04tQ"


def pickled(alter):
    """The structure of one tensor of four numbers, its offset, shape and stride altered."""
    arguments = [0, (4,), (1,)]
    alter(arguments)
    parts = b"".join(pickle.dumps(value, 2)[2:-1] for value in arguments)
    return b"\x80\x02}X\x01\x00\x00\x00actorch._utils\n_rebuild_tensor_v2\n(" + STORAGE + parts + b"tRs."


BAD_TENSORS = {
    "beyond its storage": lambda a: a.__setitem__(1, (5,)),
    "an offset beyond": lambda a: a.__setitem__(0, 1),
    "a negative offset": lambda a: a.__setitem__(0, -1),
    "a negative stride": lambda a: a.__setitem__(2, (-1,)),
    "a stride beyond": lambda a: a.__setitem__(2, (2,)),
    "fewer strides": lambda a: a.__setitem__(2, ()),
    "no numbers": lambda a: a.__setitem__(1, ("x",)),
}


@pytest.mark.parametrize("case", BAD_TENSORS)
def test_a_tensor_that_its_storage_does_not_hold_is_refused(tmp_path, case):
    path = tmp_path / "w.pt"
    torch.save({"a": torch.arange(4.0)}, path)
    rewritten(path, **{"data.pkl": pickled(lambda a: None)})
    np.testing.assert_array_equal(read_tensors(path)["a"], np.arange(4, dtype=np.float32))
    rewritten(path, **{"data.pkl": pickled(BAD_TENSORS[case])})
    with pytest.raises(WeightsError, match="not a plain PyTorch state dict"):
        read_tensors(path)


PICKLES = {
    "a function": b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R.",
    "a class": b"\x80\x02cbuiltins\nobject\n)\x81.",
    "builtins": b"\x80\x02cbuiltins\neval\nX\x01\x00\x00\x001\x85R.",
    "a memo of gigabytes": b"\x80\x02}r\xff\xff\xff\xff.",
    "an attribute of a function": b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nN}X\x09\x00\x00\x00_functionNs\x86b.",
    "a storage replaced": b"\x80\x02" + STORAGE + b"N}X\x06\x00\x00\x00valuesNs\x86b.",
    "cut off": b"\x80\x02}X\x01",
}


@pytest.mark.parametrize("case", PICKLES)
def test_a_pickle_that_torch_would_not_write_is_refused(tmp_path, case):
    path = tmp_path / "w.pt"
    torch.save({"a": torch.arange(4.0)}, path)
    rewritten(path, **{"data.pkl": PICKLES[case]})
    with pytest.raises(WeightsError, match="not a plain PyTorch state dict"):
        read_tensors(path)


@pytest.mark.parametrize("content", [b"", b"12345678{}", (2**40).to_bytes(8, "little") + b"{}"])
def test_a_file_that_is_not_safetensors_is_refused(tmp_path, content):
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="not a safetensors file"):
        read_tensors(path)
