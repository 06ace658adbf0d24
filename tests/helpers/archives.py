"""Folders of tiny granules and a loopback server, for tests of runs over many scenes."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np

from scene_files import arrays, write_emit, write_envi_scene


def granule_id(index: int) -> str:
    """As of `write_granule`."""
    return f"emit202402{index + 1:02d}t040506"


def write_granule(folder: Path, index: int, *, envi: bool = False) -> Path:
    """One good granule of 7 × 5 pixels, netCDF with a GLT or ENVI; returns its radiance file."""
    folder.mkdir(parents=True, exist_ok=True)
    data = arrays(seed=index)
    if envi:
        return write_envi_scene(folder, data, f"emit202402{index + 1:02d}t040506_o00001_s001_l1b_{{}}_b0106_v01")[0]
    sample, line = np.meshgrid(np.arange(1, 6), np.arange(1, 8))
    stem = f"EMIT_L1B_{{}}_001_202402{index + 1:02d}T040506_24034{index:02d}_007"
    return write_emit(folder, data, stem=stem, glt=(sample, line))[0]


def write_archive(folder: Path, good: int = 4) -> dict[str, str]:
    """``good`` granules in turn of both formats, one of them twice, and three broken ones.

    Returns a part of the message expected for each broken granule.
    """
    for index in range(good):
        write_granule(folder / "day", index, envi=index % 2 == 1)
    write_granule(folder / "copy", 0)
    truncated, lonely, page = (write_granule(folder / "broken", 20 + index) for index in range(3))
    truncated.write_bytes(truncated.read_bytes()[:-200])
    Path(str(lonely).replace("RAD", "OBS")).unlink()
    page.write_text("<html>please log in</html>")
    return {
        granule_id(20): "cannot be read as netCDF",
        granule_id(21): "no matching OBS file",
        granule_id(22): "is a web page",
    }


class _Handler(SimpleHTTPRequestHandler):
    """Files of a folder, a STAC API over the items of its ``items.json``, and refusals where they are asked for."""

    server: LoopbackServer

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        if self._refused():
            return
        path = urlsplit(self.path)
        if path.path == "/api/":
            self._answer(self.server.landing())
        elif path.path == "/api/search":
            query = {name: values[0] for name, values in parse_qs(path.query).items()}
            self._answer(self.server.page(query, int(query.get("page", "0"))))
        else:
            super().do_GET()

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self._refused():
            self._answer(self.server.page(body, body.get("page", 0)))

    def _refused(self) -> bool:
        self.server.requests.append(self.path)
        for part, answers in self.server.refusals.items():
            if part in self.path and answers:
                self.send_error(answers.pop(0))
                return True
        return False

    def _answer(self, content: dict) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class LoopbackServer(ThreadingHTTPServer):
    """`refusals`: statuses to answer, one a request, to paths that hold the key; `requests`: all paths asked for."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), lambda *args: _Handler(*args, directory=str(folder)))
        self.refusals: dict[str, list[int]] = {}
        self.requests: list[str] = []
        self.items: list[dict] = []
        self.address = f"http://127.0.0.1:{self.server_address[1]}"

    def landing(self) -> dict:
        search = {"rel": "search", "href": f"{self.address}/api/search", "type": "application/geo+json"}
        conforms = ["core", "item-search"]
        return {
            "type": "Catalog",
            "stac_version": "1.1.0",
            "id": "loopback",
            "description": "a small API",
            "conformsTo": [f"https://api.stacspec.org/v1.0.0/{name}" for name in conforms],
            "links": [
                {"rel": "self", "href": f"{self.address}/api/"},
                {"rel": "root", "href": f"{self.address}/api/"},
                search | {"method": "GET"},
                search | {"method": "POST"},
            ],
        }

    def page(self, query: dict, number: int) -> dict:
        """Two items a page; of the filters only the time, as an API would."""
        first, _, last = str(query.get("datetime", "/")).partition("/")
        found = [
            item
            for item in self.items
            if (first in ("", "..") or item["properties"]["datetime"] >= first)
            and (last in ("", "..") or item["properties"]["datetime"] <= last)
        ]
        links = []
        if len(found) > 2 * (number + 1):
            body = {**query, "page": number + 1}
            href = f"{self.address}/api/search"
            links = [{"rel": "next", "href": href, "method": "POST", "type": "application/geo+json", "body": body}]
        return {"type": "FeatureCollection", "features": found[2 * number : 2 * number + 2], "links": links}


@contextmanager
def serving(folder: Path) -> Iterator[LoopbackServer]:
    """The folder over HTTP on this machine."""
    server = LoopbackServer(folder)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
