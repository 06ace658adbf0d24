from __future__ import annotations

import hashlib
import json
import os
import resource
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import spectf_cloud.files.download as fetch
import spectf_cloud.files.releases as releases
from spectf_cloud.__main__ import main
from spectf_cloud.errors import InputError, OutputError, UsageError
from spectf_cloud.files.cache import cache_folder

CONTENT = bytes(range(256)) * 9000


class Zenodo(BaseHTTPRequestHandler):
    """A record with one file; ``stop_after`` breaks the connection off, as networks do."""

    stop_after: int | None = None
    resumes = True
    ranges: list[str | None]
    checksum = "md5:" + hashlib.md5(CONTENT).hexdigest()

    def do_GET(self):
        if self.path.startswith("/api"):
            link = f"http://127.0.0.1:{self.server.server_port}/file"
            item = {"key": "a.hdf5", "size": len(CONTENT), "checksum": type(self).checksum, "links": {"self": link}}
            body = json.dumps({"files": [item]}).encode()
            self.send_response(200)
        else:
            wanted = self.headers.get("Range")
            type(self).ranges.append(wanted)
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
            if not type(self).resumes:
                wanted, start = None, 0
            body = CONTENT[start:]
            self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with suppress(ConnectionError):
            self.wfile.write(body[: type(self).stop_after])

    def log_message(self, *args):
        pass


@pytest.fixture
def zenodo(monkeypatch):
    handler = type("Handler", (Zenodo,), {"ranges": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setattr(fetch, "ZENODO_URL", f"http://127.0.0.1:{server.server_port}/api/")
    monkeypatch.setattr(fetch, "_FIRST_PAUSE_S", 0.001)
    yield handler
    server.shutdown()
    server.server_close()


def test_a_download_resumes_where_it_broke_off(zenodo, tmp_path):
    (file,) = fetch.list_record("10.5281/zenodo.1")
    zenodo.stop_after = 300_000
    with pytest.raises(InputError, match=r"broke off .*, 6 times; run again later"):
        fetch.fetch_file(file, tmp_path)
    assert not (tmp_path / "a.hdf5").exists()
    had = len(zenodo.ranges)
    zenodo.stop_after = None
    seen = []
    path = fetch.fetch_file(file, tmp_path, lambda *at: seen.append(at))
    assert path.read_bytes() == CONTENT and seen[-1] == (len(CONTENT), len(CONTENT))
    starts = [int(wanted[len("bytes=") : -1]) if wanted else 0 for wanted in zenodo.ranges]
    assert had == 6 and len(starts) == 7 and starts == sorted(set(starts))
    assert [item.name for item in tmp_path.iterdir()] == ["a.hdf5"]
    fetch.fetch_file(file, tmp_path)  # there already: nothing is asked for
    assert len(zenodo.ranges) == 7


def test_one_broken_connection_is_no_failure(zenodo, tmp_path):
    (file,) = fetch.list_record("10.5281/zenodo.1")
    zenodo.stop_after = 1_500_000
    assert fetch.fetch_file(file, tmp_path).read_bytes() == CONTENT
    assert len(zenodo.ranges) == 2


def test_room_is_made_once_and_what_arrived_in_it_stays(zenodo, tmp_path):
    (file,) = fetch.list_record("10.5281/zenodo.1")
    zenodo.stop_after = 1_500_000
    made = []

    def reserve(descriptor, size):
        made.append(size)
        os.posix_fallocate(descriptor, 0, size)

    fetch.fetch(file.url, tmp_path / "a", reserve=reserve)
    assert (tmp_path / "a").read_bytes() == CONTENT and made == [len(CONTENT)]
    assert len(zenodo.ranges) == 2


def test_a_server_that_cannot_resume_sends_all_again(zenodo, tmp_path):
    (file,) = fetch.list_record("10.5281/zenodo.1")
    zenodo.resumes = False
    (tmp_path / ".a.hdf5.part").write_bytes(b"x" * 1000)
    assert fetch.fetch_file(file, tmp_path).read_bytes() == CONTENT


def test_a_full_disk_is_no_reason_to_ask_again(zenodo, tmp_path):
    (file,) = fetch.list_record("10.5281/zenodo.1")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limits[1]))
    try:
        with pytest.raises(OutputError, match="could not be written: File too large"):
            fetch.fetch_file(file, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert len(zenodo.ranges) == 1


def test_what_differs_is_not_kept_and_what_is_there_is_not_replaced(zenodo, tmp_path):
    zenodo.checksum = "md5:" + "0" * 32
    (file,) = fetch.list_record("10.5281/zenodo.1")
    with pytest.raises(InputError, match="checksum differs"):
        fetch.fetch_file(file, tmp_path)
    assert not list(tmp_path.iterdir())
    (tmp_path / "a.hdf5").write_text("mine")
    with pytest.raises(OutputError, match="not the published file"):
        fetch.fetch_file(file, tmp_path)


def test_room_is_checked_first(zenodo, tmp_path, monkeypatch):
    (file,) = fetch.list_record("10.5281/zenodo.1")
    monkeypatch.setattr("shutil.disk_usage", lambda folder: type("Usage", (), {"free": 1000}))
    with pytest.raises(OutputError, match="are free"):
        fetch.fetch_file(file, tmp_path)
    assert not zenodo.ranges


def test_no_network_and_no_doi(monkeypatch):
    monkeypatch.setattr(fetch, "ZENODO_URL", "http://127.0.0.1:9/")
    with pytest.raises(InputError, match="is there a network"):
        fetch.list_record(fetch.PUBLISHED_DOIS[0])
    with pytest.raises(UsageError, match="not a Zenodo DOI"):
        fetch.list_record("10.1000/182")


def test_command_lists_and_fetches(zenodo, tmp_path, capsys):
    assert main(["dataset", "fetch", "10.5281/zenodo.1", "--list"]) == 0
    assert "a.hdf5" in capsys.readouterr().out
    assert main(["dataset", "fetch", "10.5281/zenodo.1", "--outdir", str(tmp_path), "--name", "b"]) == 2
    assert main(["dataset", "fetch", "10.5281/zenodo.1", "--outdir", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["files"] == [str(tmp_path / "a.hdf5")]


def test_one_variable_moves_every_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("SPECTF_CACHE_DIR", str(tmp_path))
    monkeypatch.delenv("SPECTF_WEIGHTS_DIR", raising=False)
    assert releases.weights_dir() == cache_folder() == tmp_path
    monkeypatch.setenv("SPECTF_WEIGHTS_DIR", str(tmp_path / "w"))
    assert releases.weights_dir() == tmp_path / "w"
