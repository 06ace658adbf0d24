"""Mask hundreds of granules with ``deploy-many`` while its workers, client and scheduler are killed.

    python -m evaluation.scaling.trial FOLDER [--count 300] [-- --weights W ...]

Makes the granules in FOLDER, masks them on a two-worker LocalCluster and on a scheduler with two workers over loopback
TCP, kills processes in mid-run, and checks against what is known of the granules. Fills scaling.md.
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

from evaluation import report
from evaluation.results import ROOT, Result, add, result
from evaluation.scaling.granules import make_granules

PAGE = ROOT / "evaluation/scaling.md"
BROKEN, TWICE = 10, 2
_POLL_S = 0.5


class Trial:
    """One output folder, and what is found of it."""

    def __init__(self, where: str, granules: Path, out: Path, options: list[str]) -> None:
        # The granules' names carry times that their geometry does not: plausibility is not what is tried here.
        self.where, self.granules, self.out, self.options = where, granules, out, ["--trust-input", *options]
        self.results: list[Result] = []
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

    def note(self, what: str, **found: float) -> None:
        """Add numbers found at one step."""
        for name, value in found.items():
            self.results.append(result("trial", self.where, what, name.replace("_", " "), value=value))
        print(f"  {what}: {found}", flush=True)

    def finish(self, run: subprocess.Popen[str], what: str) -> None:
        """Wait for the end of a run and note its last event."""
        out, err = run.communicate()
        event: dict[str, Any] = json.loads(out.splitlines()[-1]) if out else {}
        shown = {key: event[key] for key in ("masked", "unchanged", "failed", "set_aside") if key in event}
        self.note(what, exit_code=run.returncode, **shown)
        print("  ", event.get("message", "") or err[-2000:])

    def check(self, before: dict[str, int], what: str) -> None:
        """Every good granule done, every broken one listed with its reason, nothing done again that was done."""
        after = self.receipts()
        again = [name for name, when in before.items() if after.get(name) != when]
        with sqlite3.connect(self.out / "ledger.sqlite") as ledger:
            reasons = [reason for (reason,) in ledger.execute("SELECT error FROM granule WHERE state = 'failed'")]
        left = len(list(self.out.rglob(".claim")) + list(self.out.rglob(".spectf-part-*")))
        named = len([reason for reason in reasons if reason])
        self.note(
            what,
            done=self.done(),
            receipts=len(after),
            failed_with_reason=named,
            done_again=len(again),
            leftovers=left,
        )
        assert self.done() == len(after) == self.expected, (self.states(), len(after))
        assert len(reasons) == BROKEN and all(reasons)
        assert not again and not left


def on_local_cluster(trial: Trial, folder: Path) -> None:
    """Run two workers; kill one, then the client with all that hangs on it."""
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
    before = trial.receipts()
    trial.finish(trial.start("--workers", "2"), "run a third time")
    trial.check(before, "nothing done again")


def on_loopback(trial: Trial, folder: Path) -> None:
    """Run a scheduler and two workers of their own; kill a worker, the client and the scheduler in turn."""
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
    before |= trial.receipts()
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
    """Run both trials and fill the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--only", choices=("local", "loopback"))
    parser.add_argument("--out", type=Path, default=PAGE.with_suffix("") / "scaling.json")
    parser.add_argument("options", nargs="*", help="for deploy-many, after --")
    asked = parser.parse_args()
    folder = asked.folder.resolve()
    granules = folder / "granules"
    if not granules.is_dir():
        make_granules(granules, asked.count, broken=BROKEN, twice=TWICE)
    for name, where, act in (("local", "LocalCluster", on_local_cluster), ("loopback", "loopback TCP", on_loopback)):
        if asked.only in (None, name):
            shutil.rmtree(folder / name, ignore_errors=True)
            trial = Trial(where, granules, folder / name, asked.options)
            print(where, flush=True)
            act(trial, folder)
            add(asked.out, trial.results, replace=[f"trial / {where}"])
    report.main([PAGE])


if __name__ == "__main__":
    main()
