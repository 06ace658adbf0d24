import gzip
import io
import json
import os
import pickle
import threading
import zipfile
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import h5py
import numpy as np
import pytest
import torch

import spectf_cloud.weights as weights
from spectf_cloud.errors import WeightsError
from spectf_cloud.files import releases
from spectf_cloud.files.tensors import read_tensors
from spectf_cloud.model import ModelConfig
from spectf_cloud.models.load import load_model
from spectf_cloud.models.resnet import ResNet, ResNetConfig
from spectf_cloud.training.checkpoint import Best, Checkpoint
from spectf_cloud.weights import (
    RELEASES,
    find_weights,
    kind_of,
    read_checkpoint,
    save_checkpoint,
    sha256_of,
    write_card,
)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def upstream(tmp_path, monkeypatch):
    """A loopback server in the place of the upstream repository; returns the folder it serves."""
    folder = tmp_path / "upstream"
    (folder / "weights" / "v0.1.0").mkdir(parents=True)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setattr(releases, "OFFICIAL_URL", f"http://127.0.0.1:{server.server_port}/")
    monkeypatch.setenv("SPECTF_WEIGHTS_DIR", str(tmp_path / "cache"))
    yield folder
    server.shutdown()
    server.server_close()
    thread.join()


def serve(upstream, reference, edit=lambda content: content):
    content = (reference / "official" / "v0.1.0" / "weights.pt").read_bytes()
    (upstream / "weights" / "v0.1.0" / "weights.pt").write_bytes(edit(content))
    (upstream / "irr.npy").write_bytes((reference / "official" / "irr.npy").read_bytes())


def test_a_release_is_fetched_once_and_brings_its_threshold_and_irradiance(upstream, reference, tmp_path):
    serve(upstream, reference)
    found = find_weights("official:v0.1.0")
    assert found.path == tmp_path / "cache" / "v0.1.0" / "weights.pt"
    assert sha256_of(found.irradiance_path) == RELEASES["official:v0.1.0"].irradiance.sha256
    assert found.threshold == 0.51
    (upstream / "weights" / "v0.1.0" / "weights.pt").unlink()
    assert find_weights("official:v0.1.0") == found


@pytest.mark.parametrize(
    "edit", [lambda c: c[: len(c) // 2], lambda c: c[:-1] + bytes([c[-1] ^ 1])], ids=["truncated", "tampered"]
)
def test_a_download_that_differs_is_refused_and_not_kept(upstream, reference, tmp_path, edit):
    serve(upstream, reference, edit)
    with pytest.raises(WeightsError, match="sha256 differs"):
        find_weights("official:v0.1.0")
    assert not list((tmp_path / "cache").rglob("weights.pt"))


def test_without_a_network_the_way_out_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(releases, "OFFICIAL_URL", "http://127.0.0.1:9/")
    monkeypatch.setenv("SPECTF_WEIGHTS_DIR", str(tmp_path))
    with pytest.raises(WeightsError) as caught:
        find_weights("official:v0.0.1")
    message = str(caught.value)
    assert "http://127.0.0.1:9/weights/v0.0.1/weights.pt" in message
    assert str(tmp_path / "v0.0.1" / "weights.pt") in message
    assert "SPECTF_WEIGHTS_DIR" in message


def test_a_placed_file_that_was_altered_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("SPECTF_WEIGHTS_DIR", str(tmp_path))
    (tmp_path / "v0.1.0").mkdir()
    (tmp_path / "v0.1.0" / "weights.pt").write_bytes(b"not them")
    with pytest.raises(WeightsError, match="sha256 differs"):
        find_weights("official:v0.1.0")


def test_a_published_file_is_known_by_its_checksum_wherever_it_lies(official):
    found = find_weights(official / "v0.0.1" / "weights.pt")
    assert (found.name, found.threshold) == ("official:v0.0.1", 0.52)
    assert found.irradiance_path.read_bytes() == (official / "irr.npy").read_bytes()


def test_a_card_beside_the_file_describes_it(tmp_path):
    path = tmp_path / "mine.pt"
    path.write_bytes(b"tensors")
    assert find_weights(path).threshold == weights.PUBLISHED_THRESHOLD
    card = tmp_path / "mine.yml"
    card.write_text("name: mine\nthreshold: 0.4\narchitecture: {dim_proj: 32, num_heads: 4}\n")
    found = find_weights(path)
    assert (found.name, found.threshold, found.architecture.dim_proj) == ("mine", 0.4, 32)
    for text, error in (
        ("threshold: 7", WeightsError),
        (f"sha256: {'0' * 64}", WeightsError),
        ("architecture: {depth: 2}", WeightsError),
        ("architecture: [1]", WeightsError),
        ("architecture: {num_heads: true}", WeightsError),
        ("architecture: {agg: [max]}", WeightsError),
        ("threshold: yes", WeightsError),
    ):
        card.write_text(text)
        with pytest.raises(error, match=r"mine\."):
            find_weights(path)


CARD = {
    "name": "mine",
    "threshold": 0.25,
    "architecture": {"num_heads": 1, "dim_proj": 4, "dim_ff": 4},
    "irradiance": {"name": "kurucz", "sha256": "ab" * 32},
    "bands_nm": [400, 500],
    "quantities": ["radiance", "toa_reflectance"],
    "classes": ["clear", "cloud"],
    "training": {"seed": 3},
}


def both_forms(folder):
    """The same network and card as a state dict and as safetensors."""
    state = small_state()
    old = saved(folder / "old.pt", state)
    write_card(old, **CARD)
    save_checkpoint(folder / "new.safetensors", {name: value.numpy() for name, value in state.items()}, **CARD)
    return old, folder / "new.safetensors"


def test_both_forms_are_one_object(tmp_path):
    old, new = (find_weights(path) for path in both_forms(tmp_path))
    assert replace(new, path=old.path, sha256=old.sha256) == old
    assert (new.kind, new.bands_nm, new.quantities) == ("spectf", (400.0, 500.0), ("radiance", "toa_reflectance"))
    assert new.irradiance_sha256 == "ab" * 32 and new.provenance == {"training": {"seed": 3}}
    assert weights.files_of(new.path) == (new.path, tmp_path / "new.json")
    toa = torch.rand(3, 2, 1)
    first, second = (load_model(found, BANDS) for found in (old, new))
    assert torch.equal(first(toa), second(toa))
    (tmp_path / "new.json").rename(tmp_path / "card.json")
    assert find_weights(new.path) == new


def test_a_network_of_a_later_kind_is_read_and_never_taken_for_spectf(tmp_path):
    path = tmp_path / "any.safetensors"
    save_checkpoint(
        path, {"a": np.ones(3, np.float16)}, name="any", threshold=0.5, kind="any", architecture={"width": 24}
    )
    found = read_checkpoint(path)
    assert (kind_of(path), found.kind, found.shape, found.architecture) == ("any", "any", {"width": 24}, None)
    assert found.bands_nm is None and found.tensors()["a"].dtype == np.float16
    with pytest.raises(WeightsError, match=r"any\.safetensors is a network of kind 'any', not SpecTf weights"):
        find_weights(path)
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(WeightsError, match="sha256 differs"):
        read_checkpoint(path)


WRONG_CARDS = {
    "kind": 7,
    "threshold": True,
    "bands_nm": ["red"],
    "quantities": ["brightness"],
    "classes": ["cloud", "cloud"],
    "irradiance": {"sha256": "short"},
    "architecture": [1],
}


@pytest.mark.parametrize("key", WRONG_CARDS)
@pytest.mark.parametrize("form", ["old", "new"])
def test_a_card_that_cannot_be_meant_is_named(tmp_path, key, form):
    both_forms(tmp_path)
    path = {"old": tmp_path / "old.pt", "new": tmp_path / "new.safetensors"}[form]
    card = weights.card_path(path)
    card.write_text(json.dumps({key: WRONG_CARDS[key]}))  # JSON is YAML too
    with pytest.raises(WeightsError, match=rf"{card.name}: .*{key}"):
        find_weights(path)


@pytest.mark.parametrize("text", ["{", "[1]", "[" * 100_000, '{"a": "\xff"}'])
def test_a_card_that_is_not_a_json_object_is_named(tmp_path, text):
    _, path = both_forms(tmp_path)
    (tmp_path / "new.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(WeightsError, match=r"new\.json"):
        find_weights(path)


def test_unknown_names_list_the_known_ones():
    with pytest.raises(WeightsError, match=r"builtin, official:v0\.1\.0, official:v0\.0\.1"):
        find_weights("official:v9")


def test_a_path_that_the_system_refuses_is_named():
    with pytest.raises(WeightsError, match="cannot be read"):
        find_weights("w" * 300 + ".pt")


SMALL = ModelConfig(num_heads=1, dim_proj=4, dim_ff=4)
BANDS = np.array([400.0, 500.0])


def small_state():
    return SMALL.build(BANDS).state_dict()


def saved(path, content, **options):
    torch.save(content, path, **options)
    return path


class Explosive:
    """Creates a file when unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("form", ["archive", "old", "pickle"])
def test_a_pickle_that_does_something_is_refused_and_does_nothing(tmp_path, form):
    path, trace = tmp_path / "w.pt", tmp_path / "trace"
    if form == "pickle":
        path.write_bytes(pickle.dumps(Explosive(trace)))
    else:
        saved(path, small_state() | {"x": Explosive(trace)}, _use_new_zipfile_serialization=form == "archive")
    with pytest.raises(WeightsError, match="not a plain PyTorch state dict"):
        load_model(find_weights(path), BANDS, SMALL)
    assert not trace.exists()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300])
def test_weights_that_are_not_finite_float32_are_refused(tmp_path, value):
    state = {name: tensor.double() for name, tensor in small_state().items()}
    state["head.bias"][0] = value
    with pytest.raises(WeightsError, match=r"head\.bias holds NaN or infinite"):
        load_model(find_weights(saved(tmp_path / "w.pt", state)), BANDS, SMALL)


OTHER_STATES = {
    "a name missing": lambda state: state.pop("head.bias"),
    "a name too many": lambda state: state.update({"extra": torch.zeros(1)}),
    "another shape": lambda state: state.update({"head.bias": torch.zeros(3)}),
    "integers": lambda state: state.update({"head.bias": torch.zeros(2, dtype=torch.int64)}),
    "sparse": lambda state: state.update({"head.bias": torch.zeros(2).to_sparse()}),
    "no tensor": lambda state: state.update({"head.bias": [0.0, 0.0]}),
}


@pytest.mark.parametrize("case", OTHER_STATES)
def test_a_state_that_does_not_fit_its_config_is_named(tmp_path, case):
    state = small_state()
    OTHER_STATES[case](state)
    with pytest.raises(WeightsError, match=r"w\.pt"):
        load_model(find_weights(saved(tmp_path / "w.pt", state)), BANDS, SMALL)


def test_an_archive_that_unpacks_to_more_than_a_gibibyte_is_refused_unread(tmp_path):
    """Two megabytes on the disk; PyTorch alone would unpack them."""
    buffer = io.BytesIO()
    torch.save(small_state(), buffer)
    path = tmp_path / "w.pt"
    with zipfile.ZipFile(buffer) as honest, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bomb:
        for entry in honest.infolist():
            bomb.writestr(entry.filename, honest.read(entry))
        with bomb.open("archive/data/99", "w", force_zip64=True) as stream:
            for _ in range(1040):
                stream.write(bytes(2**20))
    assert path.stat().st_size < 2e6
    with pytest.raises(WeightsError, match="more than 1 GiB"):
        read_tensors(path)


def test_a_file_of_two_gibibytes_is_refused_before_it_is_hashed(tmp_path, monkeypatch):
    path = tmp_path / "w.pt"
    path.touch()
    os.truncate(path, 2**31)  # sparse: nothing on the disk
    monkeypatch.setattr(weights, "sha256_of", lambda path: pytest.fail("read"))
    with pytest.raises(WeightsError, match="larger than 1 GiB"):
        find_weights(path)


def test_one_number_that_says_it_is_a_matrix_of_terabytes_is_refused(tmp_path):
    state = small_state()
    state["head.weight"] = torch.zeros(1).expand(10**6, 10**6)
    with pytest.raises(WeightsError, match="does not fit"):
        load_model(find_weights(saved(tmp_path / "w.pt", state)), BANDS, SMALL)


def a_training_checkpoint(path):
    Checkpoint({"seed": 1}, 2, small_state(), {}, best=Best(1, {}, small_state())).save(path)


def a_zip(path, names=("run/weights.pt",)):
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"something")


def an_onnx_model(path):
    onnx = pytest.importorskip("onnx")
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["x"], ["y"])], "g", [value], [value])
    onnx.save(onnx.helper.make_model(graph, producer_name="someone"), path)


def trees(path):
    xgboost = pytest.importorskip("xgboost")
    data = xgboost.DMatrix(np.eye(4), label=[0, 1, 0, 1])
    xgboost.train({"max_depth": 1}, data, 1).save_model(path.with_suffix(".json"))
    path.with_suffix(".json").rename(path)


def a_resnet(path):
    saved(path, ResNet(ResNetConfig((4,), 1, 3)).state_dict())
    path.with_suffix(".yml").write_text("kind: resnet\n")


FOREIGN = {
    "training checkpoint": (a_training_checkpoint, "checkpoint of a training run"),
    "ResNet with its card": (a_resnet, "a ResNet to compare with"),
    "ResNet alone": (lambda path: saved(path, ResNet(ResNetConfig((4,), 1, 3)).state_dict()), "a ResNet to compare"),
    "XGBoost": (trees, "boosted trees"),
    "other JSON": (lambda path: path.write_text('{"a": 1}'), "a JSON file"),
    "ONNX": (an_onnx_model, "an ONNX file"),
    "TensorRT": (lambda path: path.write_bytes(b"ftrt" + bytes(100)), "a TensorRT engine"),
    "zip": (a_zip, r"a zip archive \(run/weights.pt\)"),
    "npz": (lambda path: np.savez(path.open("wb"), a=np.zeros(3)), "NumPy archive"),
    "npy": (lambda path: np.save(path.open("wb"), np.zeros(3)), "a NumPy array"),
    "HDF5": (lambda path: h5py.File(path, "w").close(), "a netCDF-4/HDF5 file"),
    "gzip": (lambda path: path.write_bytes(gzip.compress(b"tensors")), "a gzip archive"),
    "TorchScript": (partial(a_zip, names=("m/data.pkl", "m/code/a.py", "m/constants.pkl")), "TorchScript"),
    "Lightning": (lambda path: saved(path, {"epoch": 1, "state_dict": small_state()}), "a checkpoint of more than"),
    "web page": (lambda path: path.write_text("\n<!DOCTYPE html><html></html>"), "a web page"),
    "Git LFS": (lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\noid"), "a Git LFS pointer"),
    "nothing": (lambda path: path.touch(), "empty"),
    "safetensors": (lambda path: path.write_bytes((2).to_bytes(8, "little") + b"{}"), "a safetensors file; give it a"),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_weights_of_another_kind_are_named_in_one_line(tmp_path, kind):
    make, words = FOREIGN[kind]
    path = tmp_path / "w.pt"
    make(path)
    with pytest.raises(WeightsError, match=rf"w\.pt is .*{words}") as error:
        load_model(find_weights(path), BANDS, SMALL)
    assert "\n" not in str(error.value) and error.value.exit_code == 3


def test_a_card_given_as_weights_is_named(tmp_path):
    path = tmp_path / "weights.yml"
    path.write_text("name: mine\nthreshold: 0.5\n")
    with pytest.raises(WeightsError, match=r"a YAML file; give the weights\.pt"):
        find_weights(path)
