"""Hundreds of granules through ``deploy-many`` while its workers, client and scheduler are killed.

    python -m evaluation.scaling.trial [--count 300] FOLDER -- --weights W …

Makes the granules in FOLDER, masks them on a two-worker LocalCluster and on a scheduler with two workers over loopback
TCP, kills processes in mid-run, and checks against what is known of the granules. Writes trial.json here.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from evaluation.scaling.granules import make_granules

RESULTS = Path(__file__).with_name("trial.json")
BROKEN, TWICE = 10, 2
_POLL_S = 0.5


class Trial:
    """One output folder, and what is found of it."""

    def __init__(self, granules: Path, out: Path, options: list[str]) -> None:
        # The granules' names carry times that their geometry does not: plausibility is not what is tried here.
        self.granules, self.out, self.options = granules, out, ["--trust-input", *options]
        self.notes: list[dict[str, Any]] = []
        self.expected = len([path for path in granules.iterdir() if path.name.isdecimal()]) - BROKEN

    def start(self, *more: str) -> subprocess.Popen[str]:
        """A run of the command line, not waited for."""
        command = [sys.executable, "-m", "spectf_cloud", "deploy-many", str(self.granules), "--out", str(self.out)]
        return subprocess.Popen(
            [*command, "--json", *self.options, *more], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def done(self) -> int:
        """Granules that are done, by the ledger."""
        return self.states().get("done", 0)

    def states(self) -> dict[str, int]:
        try:
            with sqlite3.connect(f"{(self.out / 'ledger.sqlite').as_uri()}?mode=ro", uri=True) as ledger:
                return dict(ledger.execute("SELECT state, count(*) FROM granule GROUP BY state"))
        except sqlite3.OperationalError:
            return {}

    def wait_for(self, count: int, run: subprocess.Popen[str]) -> None:
        """Until so many are done; an end of the run before that is a failure."""
        while self.done() < count:
            if run.poll() is not None:
                raise SystemExit(f"the run ended before {count} were done: {run.communicate()}")
            time.sleep(_POLL_S)

    def receipts(self) -> dict[str, int]:
        """When each granule's receipt was written (ns)."""
        return {path.parent.name: path.stat().st_mtime_ns for path in self.out.rglob("receipt.json")}

    def note(self, what: str, **found: Any) -> None:
        self.notes.append({"what": what, **found})
        print(f"  {what}: {found}", flush=True)

    def finish(self, run: subprocess.Popen[str], what: str) -> dict[str, Any]:
        """Wait for the end of a run and note its last event."""
        start = time.monotonic()
        out, err = run.communicate()
        event: dict[str, Any] = json.loads(out.splitlines()[-1]) if out else {}
        shown = {
            key: event.get(key) for key in ("masked", "unchanged", "failed", "set_aside", "message") if key in event
        }
        self.note(what, exit_code=run.returncode, waited_s=round(time.monotonic() - start, 1), **shown)
        if not out:
            print(err[-2000:])
        return event

    def check(self, before: dict[str, int], what: str) -> None:
        """Every good granule done, every broken one listed with its reason, nothing done again that was done."""
        after = self.receipts()
        again = [name for name, when in before.items() if after.get(name) != when]
        with sqlite3.connect(self.out / "ledger.sqlite") as ledger:
            reasons = [reason for (reason,) in ledger.execute("SELECT error FROM granule WHERE state = 'failed'")]
            attempts = dict(ledger.execute("SELECT attempts, count(*) FROM granule WHERE state = 'done' GROUP BY 1"))
        claims = len(list(self.out.rglob(".claim")) + list(self.out.rglob(".spectf-part-*")))
        self.note(
            what, done=self.done(), receipts=len(after), failed_with_reason=len([r for r in reasons if r]),
            done_again=len(again), attempts_of_done=attempts, leftovers=claims,
        )  # fmt: skip
        assert self.done() == len(after) == self.expected, (self.states(), len(after))
        assert len(reasons) == BROKEN and all(reasons)
        assert not again and not claims


def on_local_cluster(trial: Trial, folder: Path) -> None:
    """Two workers; one is killed, then the client, with all that hangs on it."""
    print("LocalCluster", flush=True)
    start = time.monotonic()
    run = trial.start("--workers", "2")
    trial.wait_for(trial.expected // 5, run)
    worker = local_workers(run.pid)[0]
    worker.kill()
    trial.note("worker killed", done=trial.done())
    trial.wait_for(trial.expected // 2, run)
    workers = local_workers(run.pid)
    run.send_signal(signal.SIGKILL)
    run.wait()
    psutil.wait_procs(workers, timeout=60)
    trial.note("client killed", ledger=trial.done(), receipts=len(trial.receipts()))
    before = trial.receipts()
    trial.finish(trial.start("--workers", "2"), "run again")
    trial.check(before, "all done")
    trial.note("seconds", whole=round(time.monotonic() - start, 1))
    before = trial.receipts()
    trial.finish(trial.start("--workers", "2"), "run a third time")
    trial.check(before, "nothing done again")


def on_loopback(trial: Trial, folder: Path) -> None:
    """A scheduler and two workers of their own; a worker, the client and the scheduler are killed in turn."""
    print("scheduler and workers over loopback TCP", flush=True)
    with cluster(folder) as (address, scheduler, workers):
        run = trial.start("--scheduler", address)
        trial.wait_for(trial.expected // 6, run)
        psutil.Process(workers[0].pid).children(recursive=True)[-1].kill()
        trial.note("worker killed", done=trial.done())
        trial.wait_for(trial.expected // 3, run)
        run.kill()
        run.wait()
        time.sleep(3)  # what the workers had begun ends
        trial.note("client killed", ledger=trial.done(), receipts=len(trial.receipts()))
        before = trial.receipts()
        run = trial.start("--scheduler", address)
        trial.wait_for(2 * trial.expected // 3, run)
        scheduler.kill()
        trial.note("scheduler killed", done=trial.done())
        trial.finish(run, "the run ends with a message")
    to_the_end(trial, folder, before | trial.receipts())


def to_the_end(trial: Trial, folder: Path, before: dict[str, int]) -> None:
    """What is left, on a new scheduler and new workers."""
    with cluster(folder) as (address, _, _):
        trial.finish(trial.start("--scheduler", address), "run again on a new scheduler")
        trial.check(before, "all done")
        before = trial.receipts()
        trial.finish(trial.start("--scheduler", address), "run once more")
        trial.check(before, "nothing done again")


@contextmanager
def cluster(folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes], list[subprocess.Popen[bytes]]]]:
    """A scheduler and two workers as processes of their own."""
    file = folder / "scheduler.json"
    file.unlink(missing_ok=True)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    dask = [sys.executable, "-m", "distributed.cli.dask_scheduler"]
    scheduler = subprocess.Popen(
        [*dask, "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file)], **quiet
    )  # type: ignore[call-overload]
    while not file.is_file():
        time.sleep(_POLL_S)
    time.sleep(1)
    address = json.loads(file.read_text())["address"]
    worker = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", "1", "--no-dashboard"]
    place = ["--local-directory", str(folder / "dask")]
    workers = [subprocess.Popen([*worker, *place], **quiet) for _ in range(2)]  # type: ignore[call-overload]
    try:
        yield address, scheduler, workers
    finally:
        for process in [*workers, scheduler]:
            children = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
            for each in (*children, process):
                with suppress(psutil.NoSuchProcess):
                    each.kill()
            process.wait()


def local_workers(client: int) -> list[psutil.Process]:
    """The worker processes of a LocalCluster: the client's children that hold a network in memory."""
    children = psutil.Process(client).children(recursive=True)
    return sorted((c for c in children if c.memory_info().rss > 150e6), key=lambda child: child.pid)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--only", choices=("local", "loopback", "rest"), help="rest: of an interrupted loopback")
    parser.add_argument("options", nargs="*", help="for deploy-many, after --")
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    granules = folder / "granules"
    if not granules.is_dir():
        make_granules(granules, arguments.count, broken=BROKEN, twice=TWICE)
    results = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    results["granules"] = arguments.count
    for name, act in (("local", on_local_cluster), ("loopback", on_loopback)):
        if arguments.only in (None, name):
            shutil.rmtree(folder / name, ignore_errors=True)
            trial = Trial(granules, folder / name, arguments.options)
            results[name] = trial.notes
            act(trial, folder)
            RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    if arguments.only == "rest":
        trial = Trial(granules, folder / "loopback", arguments.options)
        to_the_end(trial, folder, trial.receipts())
        results.setdefault("loopback", []).extend(trial.notes)
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
