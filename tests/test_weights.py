import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

import spectf_cloud.weights as weights
from spectf_cloud.errors import WeightsError
from spectf_cloud.weights import RELEASES, find_weights, sha256_of


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
    monkeypatch.setattr(weights, "OFFICIAL_URL", f"http://127.0.0.1:{server.server_port}/")
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
    monkeypatch.setattr(weights, "OFFICIAL_URL", "http://127.0.0.1:9/")
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
    assert found.irradiance_path == official / "irr.npy"


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


def test_unknown_names_list_the_known_ones():
    with pytest.raises(WeightsError, match=r"builtin, official:v0\.1\.0, official:v0\.0\.1"):
        find_weights("official:v9")
