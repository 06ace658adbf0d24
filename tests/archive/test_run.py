import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import psutil
import pytest

import spectf_cloud as sc
from spectf_cloud.archive.job import ArchiveJob, Settings
from spectf_cloud.archive.ledger import open_ledger, read_ledger
from spectf_cloud.archive.receipts import granule_folder, read_receipt
from spectf_cloud.archive.run import run_archive
from spectf_cloud.archive.worker import CLAIM, MAX_CRASHES
from spectf_cloud.cli.main import run as spectf_cloud
from spectf_cloud.errors import InputError, OutputError
from spectf_cloud.files.file_lock import claim
from spectf_cloud.inference.options import MaskOptions

from archives import granule_id, serving, write_archive, write_granule
from scene_files import raster

HANGS = Path(__file__).parents[1] / "hostile/hangs"
EVERYTHING = Settings(probability=True, ortho=True, netcdf=True, quicklook=True)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """An archive of four good granules (one given twice) and three broken ones, masked in series."""
    folder = tmp_path_factory.mktemp("archive")
    expected = write_archive(folder / "in")
    job = ArchiveJob((str(folder / "in"),), folder / "out", EVERYTHING, engine="serial")
    return job, expected, run_archive(job)


@pytest.fixture
def again(finished, tmp_path):
    """A copy of it to change; its inputs stay where they are."""
    job, *_ = finished
    shutil.copytree(job.out, tmp_path / "out", copy_function=shutil.copy2)
    return replace(job, out=tmp_path / "out")


def rows(out):
    with read_ledger(out) as ledger:
        return {row.id: row for row in ledger.rows()}


def receipts(out):
    return {path.parent.name: path.stat().st_mtime_ns for path in out.rglob("receipt.json")}


def test_good_granules_are_masked_once_and_broken_ones_have_reasons(finished):
    job, expected, report = finished
    assert (report.granules, report.masked, report.failed, report.set_aside) == (7, 4, 3, 0)
    assert len(report.repeated) == 1
    found = rows(job.out)
    assert {name for name, row in found.items() if row.state == "done"} == {granule_id(index) for index in range(4)}
    for name, message in expected.items():
        assert found[name].state == "failed"
        assert message in found[name].error
        assert found[name].attempts == 1
    assert not [*job.out.rglob(".claim"), *job.out.rglob(".spectf-part-*"), *job.out.glob(".ledger.lock")]


def test_masks_are_those_of_one_scene_alone(finished):
    job, _, _ = finished
    for name, row in rows(job.out).items():
        if row.state != "done":
            continue
        alone = sc.mask_scene(sc.open_scene(row.radiance))
        with raster(granule_folder(job.out, name) / row.outputs["mask"].path) as dataset:
            np.testing.assert_array_equal(dataset.read(1), alone.mask)
        assert row.cloud_fraction == alone.cloud_fraction
        assert row.valid_pixels == alone.mask.size
        located = alone.scene.glt() is not None
        assert set(row.outputs) == {"mask", "probability", "netcdf", "quicklook", "thumbnail"} | (
            {"ortho"} if located else set()
        )
        assert (row.footprint is not None) == located


def test_a_second_run_does_nothing_again(again):
    before = receipts(again.out)
    collection = (again.out / "collection.json").stat().st_mtime_ns
    report = run_archive(again)
    assert (report.masked, report.unchanged, report.failed) == (0, 4, 3)
    assert receipts(again.out) == before
    assert (again.out / "collection.json").stat().st_mtime_ns == collection


def test_a_new_granule_alone_is_masked(again, tmp_path):
    write_granule(tmp_path / "more", 9)
    before = receipts(again.out)
    report = run_archive(replace(again, sources=(*again.sources, str(tmp_path / "more"))))
    assert (report.masked, report.unchanged) == (1, 4)
    assert receipts(again.out).items() > before.items()


def test_another_threshold_makes_all_stale_unless_kept(again):
    other = replace(again, settings=replace(EVERYTHING, options=MaskOptions(threshold=0.9)))
    assert run_archive(replace(other, keep_stale=True)).masked == 0
    assert run_archive(replace(other, keep_stale=True, verify=True)).masked == 0
    assert run_archive(other).masked == 4
    assert {row.tags["SPECTF_THRESHOLD"] for row in rows(again.out).values() if row.state == "done"} == {"0.9"}


def test_a_changed_input_is_masked_again(tmp_path):
    radiance = write_granule(tmp_path / "in", 0)
    job = ArchiveJob((str(radiance),), tmp_path / "out", engine="serial")
    assert run_archive(job).masked == 1
    assert run_archive(job).masked == 0
    os.utime(radiance, ns=(1, 1))
    assert run_archive(job).masked == 1


def test_what_cannot_be_right_is_masked_where_it_is_trusted(tmp_path):
    radiance = write_granule(tmp_path / "in", 0)
    with h5py.File(radiance, "r+") as file:
        file["radiance"][...] = 0
    job = ArchiveJob((str(radiance),), tmp_path / "out", engine="serial")
    assert run_archive(job).failed == 1
    assert "--trust-input" in rows(job.out)[granule_id(0)].error
    trusting = replace(job, settings=Settings(MaskOptions(trust_input=True)))
    assert run_archive(trusting).masked == 1


def test_verify_finds_and_mends_broken_outputs(again):
    assert run_archive(replace(again, verify=True)).masked == 0
    row = rows(again.out)[granule_id(2)]
    folder = granule_folder(again.out, row.id)
    masks = [folder / row.outputs[kind].path for kind in ("mask", "netcdf")]
    good = masks[0].read_bytes()
    masks[0].write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    assert run_archive(again).masked == 0  # nobody looks
    assert run_archive(replace(again, verify=True)).masked == 1
    assert masks[0].read_bytes() == good
    masks[1].write_bytes(masks[1].read_bytes()[:-10])
    assert run_archive(again).masked == 1
    shutil.rmtree(folder)
    assert run_archive(again).masked == 1
    assert run_archive(replace(again, verify=True)).masked == 0


def test_what_a_worker_finished_is_taken_up_when_nobody_was_left_to_tell(again):
    (again.out / "ledger.sqlite").unlink()
    before = receipts(again.out)
    assert len(before) == 4
    report = run_archive(again)
    assert (report.masked, report.unchanged) == (0, 4)
    assert receipts(again.out) == before
    assert all(row.attempts == 1 for row in rows(again.out).values())


def test_what_a_killed_worker_left_half_is_masked_anew(again):
    folder = granule_folder(again.out, granule_id(1))
    (folder / "receipt.json").unlink()
    (folder / CLAIM).write_text("then here\n")
    (folder / ".spectf-part-abc.tif").write_bytes(b"half")
    (again.out / "ledger.sqlite").unlink()
    assert run_archive(again).masked == 1
    assert read_receipt(folder).granule == granule_id(1)
    assert not [*folder.glob(".spectf-part-*"), *folder.glob(CLAIM)]


def test_a_scene_that_kills_its_process_time_and_again_is_set_aside_until_asked_for(again):
    folder = granule_folder(again.out, granule_id(1))
    (folder / "receipt.json").unlink()
    (folder / CLAIM).write_text("then here\n" * MAX_CRASHES)
    (again.out / "ledger.sqlite").unlink()
    report = run_archive(again)
    assert (report.masked, report.set_aside) == (0, 1)
    assert "died 3 times" in rows(again.out)[granule_id(1)].error
    assert run_archive(again).set_aside == 1
    report = run_archive(replace(again, retry_poison=True))
    assert (report.masked, report.set_aside) == (1, 0)


def test_a_scene_that_fails_by_chance_is_tried_again_so_often_and_no_more(tmp_path, monkeypatch):
    monkeypatch.setattr("spectf_cloud.files.download._FIRST_PAUSE_S", 0.001)
    write_granule(tmp_path / "files", 0)
    (tmp_path / "blocked").write_text("a file where scratch should be")
    with serving(tmp_path) as server:
        radiance = next((tmp_path / "files").glob("*RAD*"))
        (tmp_path / "list.csv").write_text(
            f"{server.address}/files/{radiance.name},{server.address}/files/{radiance.name.replace('RAD', 'OBS')}\n"
        )
        job = ArchiveJob((str(tmp_path / "list.csv"),), tmp_path / "out", engine="serial", scratch=tmp_path / "blocked")
        assert run_archive(job).failed == 1
        row = rows(job.out)[granule_id(0)]
        assert row.attempts == 3
        assert "cannot be used as scratch" in row.error
        server.refusals = {"RAD": [503, 503]}
        assert run_archive(replace(job, scratch=tmp_path / "scratch")).masked == 1
        assert run_archive(replace(job, scratch=tmp_path / "scratch")).masked == 0
    assert not list((tmp_path / "scratch").glob("spectf-*"))
    record = rows(job.out)[granule_id(0)].inputs["radiance"]
    assert record.path.startswith(server.address)
    assert record.bytes == radiance.stat().st_size


def test_two_runs_do_not_share_a_folder(again):
    with open_ledger(again.out), pytest.raises(OutputError, match="in use by another run"):
        run_archive(again)


def test_a_damaged_ledger_is_named(again):
    (again.out / "ledger.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(InputError, match=r"ledger\.sqlite: the ledger cannot be used"):
        run_archive(again)


def test_a_claim_passes_on_when_its_holder_is_killed(tmp_path):
    script = f"""
import sys, time
from pathlib import Path
from spectf_cloud.files.file_lock import claim
with claim(Path({str(tmp_path / "c")!r})):
    print("mine", flush=True)
    time.sleep(60)
"""
    holder = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    holder.stdout.readline()
    with claim(tmp_path / "c", wait=False) as mine:
        assert mine is None
    holder.kill()
    holder.wait()
    with claim(tmp_path / "c") as mine:
        assert mine is not None
    assert not (tmp_path / "c").exists()


def test_the_command_line_tells_what_came_of_it(finished, capsys):
    job, expected, _ = finished
    out, source = str(job.out), job.sources[0]
    products = ["--proba", "--ortho", "--netcdf", "--quicklook"]
    assert spectf_cloud(["deploy-many", source, "--out", out, "--engine", "serial", "--json", *products]) == 1
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert events[-1]["event"] == "done"
    assert (events[-1]["masked"], events[-1]["unchanged"], events[-1]["failed"]) == (0, 4, 3)
    assert events[0]["event"] == "progress"
    assert (events[-2]["done"], events[-2]["failed"], events[-2]["total"]) == (4, 3, 7)
    assert spectf_cloud(["archive", "status", out]) == 0
    assert "7 granules: 4 done, 3 failed, 0 set aside, 0 waiting" in capsys.readouterr().out
    assert spectf_cloud(["archive", "failures", out]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown and message in shown for name, message in expected.items())
    assert spectf_cloud(["archive", "status", str(job.out.parent)]) == 3
    assert "has no ledger" in capsys.readouterr().err


@pytest.mark.parametrize("suffix", [".csv", ".json", ".parquet"])
def test_the_ledger_as_a_table(finished, tmp_path, suffix, capsys):
    job, _, _ = finished
    table = tmp_path / f"t{suffix}"
    assert spectf_cloud(["archive", "export", str(job.out), str(table)]) == 0
    assert table.stat().st_size > 500
    assert spectf_cloud(["archive", "export", str(job.out), str(table)]) == 1
    assert spectf_cloud(["archive", "export", str(job.out), str(tmp_path / "t.xlsx")]) == 2
    if suffix == ".json":
        states = [row["state"] for row in json.loads(table.read_text())]
        assert sorted(states) == ["done"] * 4 + ["failed"] * 3


def test_without_the_extras_scenes_are_masked_and_what_is_left_out_is_said(tmp_path):
    """As on machines without the libraries of one or both extras."""
    write_granule(tmp_path / "in", 0)
    (tmp_path / "c.json").write_text("{}")
    code = f"""
import sys
from importlib.machinery import PathFinder
hidden = {{"dask", "distributed", "pystac", "shapely", "antimeridian", "geopandas", "pyarrow"}}
find = PathFinder.find_spec
PathFinder.find_spec = lambda name, *rest: None if name.partition(".")[0] in hidden else find(name, *rest)
from spectf_cloud.__main__ import main
base = ["deploy-many", {str(tmp_path / "in")!r}, "--out", {str(tmp_path / "out")!r}]
serial = [*base, "--engine", "serial"]
print([main([*serial, {str(tmp_path / "c.json")!r}]), main(base), main(serial)])
hidden = {{"dask", "distributed"}}
import spectf_cloud.archive.publish
print([main(serial)])
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert [line for line in result.stdout.splitlines() if line.startswith("[")] == ["[4, 4, 0]", "[0]"]
    said = [line.split("install it with")[0] for line in result.stderr.splitlines() if "pip install" in line]
    assert [line.partition(" needs ")[0].rpartition(": ")[2] for line in said] == [
        "a STAC catalogue",
        "masking on several workers (or use --engine serial)",
        "the footprints of the masks",
        "the catalogue of the masks",
    ]
    assert (tmp_path / "out" / "collection.json").is_file()  # once the libraries are there


def test_a_cluster_loses_a_worker_and_the_run_does_not_notice(tmp_path):
    expected = write_archive(tmp_path / "in")
    command = [
        sys.executable,
        "-m",
        "spectf_cloud",
        "deploy-many",
        str(tmp_path / "in"),
        "--out",
        str(tmp_path / "out"),
    ]
    run = subprocess.Popen([*command, "--workers", "2", "--json"], stdout=subprocess.PIPE, text=True)
    killed = None
    while run.poll() is None and killed is None:
        begun = next(tmp_path.glob("out/2024/*/*/*/.claim"), None)
        if begun is not None:
            workers = [child for child in psutil.Process(run.pid).children(recursive=True) if _holds(child, begun)]
            if workers:
                killed = workers[0]
                killed.send_signal(signal.SIGKILL)
        time.sleep(0.03)
    events = [json.loads(line) for line in run.communicate()[0].splitlines()]
    assert killed is not None
    assert run.returncode == 1
    assert events[-1]["masked"] + events[-1]["unchanged"] == 4
    assert events[-1]["failed"] == len(expected)
    assert len(receipts(tmp_path / "out")) == 4
    assert not list((tmp_path / "out").rglob(".claim"))


def test_a_file_that_never_ends_is_set_aside(tmp_path):
    """A real one: damaged so that the HDF5 library loops in C code, where only the end of the process helps."""
    radiance = write_granule(tmp_path / "in", 0)
    write_granule(tmp_path / "in", 1)
    shutil.copy(HANGS / "emit-global-heap.nc", radiance)
    folder = granule_folder(tmp_path / "out", granule_id(0))
    folder.mkdir(parents=True)
    (folder / CLAIM).write_text("then here\n" * (MAX_CRASHES - 1))  # one more is enough, and quicker
    job = ArchiveJob((str(tmp_path / "in"),), tmp_path / "out", workers=1, time_limit_s=8.0)
    report = run_archive(job)
    assert (report.masked, report.set_aside) == (1, 1)
    assert "died" in (error := rows(job.out)[granule_id(0)].error) and "more than 8 s" in error


def _holds(process: psutil.Process, path: Path) -> bool:
    try:
        return any(file.path == str(path) for file in process.open_files())
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False
