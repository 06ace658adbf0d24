"""Files made to mislead: whatever they hold, one clear error, no other file opened, no memory filled."""

import ctypes
import os
import resource as limits
import zlib
from contextlib import suppress
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spectf_cloud.__main__ import main
from spectf_cloud.dataset import open_scene
from spectf_cloud.errors import InputError
from spectf_cloud.readers import emit, envi

import fuzz_seeds as seeds
from fuzz_targets import TARGETS, survives
from scene_files import arrays, write_emit, write_envi

CASES = sorted((Path(__file__).parent / "cases").glob("*/*"))
FEW = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("case", CASES, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_what_fuzzing_found_stays_found(case, tmp_path):
    assert survives(case.parent.name, case.read_bytes(), tmp_path) is None


@pytest.mark.parametrize("target", TARGETS)
def test_the_seeds_are_good_files(target, tmp_path):
    """Else the fuzzers would start from rubbish."""
    reader, contents = TARGETS[target]
    for number, content in enumerate(contents()):
        if (target, number) in (("config", 1), ("irradiance", 1)):
            continue  # meant to be refused
        reader(content, tmp_path)


# ENVI: any text after the magic word, and any value for any key.

KEYS = ("samples", "lines", "bands", "header offset", "data type", "byte order", "interleave", "file compression",
        "data ignore value", "wavelength", "fwhm", "data gain values", "data offset values", "map info",
        "coordinate system string", "wavelength units", "band names")  # fmt: skip
NUMBERS = st.one_of(
    st.integers(-(2**70), 2**70).map(str),
    st.sampled_from(["0", "1e9", "nan", "inf", "-0", "٣", "１２", "1_000", "0x10", "9" * 5000, "4; 5", "7 "]),
    st.floats().map(str),
)
VALUES = st.one_of(
    NUMBERS,
    st.lists(NUMBERS, max_size=8).map(lambda items: "{" + ", ".join(items) + "}"),
    st.text(max_size=20),
    st.sampled_from(["{UTM, 1, 1, 1, 1, 1, 1, 99, North, WGS-84}", "{", "}", "{{}}", "bip", "bsq", "Micrometers"]),
)


@FEW
@given(
    edits=st.lists(st.tuples(st.sampled_from(KEYS), VALUES), min_size=1, max_size=4),
    ending=st.sampled_from(["\n", "\r\n", "\r"]),
    bom=st.booleans(),
)
def test_no_envi_header_escapes(tmp_path, edits, ending, bom):
    rows = seeds.ENVI_HEADER.splitlines()
    for key, value in edits:
        rows = [row for row in rows if not row.startswith(f"{key} =")] + [f"{key} = {value}"]
    content = (b"\xef\xbb\xbf" if bom else b"") + ending.join(rows).encode("utf-8", "surrogatepass")
    assert survives("envi", content, tmp_path) is None


@FEW
@given(st.binary(max_size=300))
def test_no_text_escapes_as_a_header(tmp_path, content):
    assert survives("envi", b"ENVI\n" + content, tmp_path) is None


@pytest.mark.parametrize(
    "text",
    ["lines = １２", "lines = 1_000", "lines = " + "9" * 4400, "samples = 99999999999999999999", "bands = 20000",
     "header offset = -4", "wavelength = {1_0, 2, 3, 4, 5, 6}", "data gain values = {1, nan, 1, 1, 1, 1}"],
)  # fmt: skip
def test_numbers_that_only_python_understands_are_refused(tmp_path, text):
    key = text.partition(" =")[0]
    rows = [row for row in seeds.ENVI_HEADER.splitlines() if not row.startswith(f"{key} =")]
    (tmp_path / "cube.hdr").write_text("\n".join([*rows, text]))
    (tmp_path / "cube.img").write_bytes(bytes(288))
    with pytest.raises(InputError, match=r"cube\.hdr|cube\.img is truncated"):
        envi.open_cube(tmp_path / "cube.hdr")


def test_a_header_of_ten_megabytes_is_read_and_one_of_twenty_refused(tmp_path):
    (tmp_path / "cube.img").write_bytes(bytes(288))
    header = tmp_path / "cube.hdr"
    header.write_text(seeds.ENVI_HEADER + "; filler\n" * (10 * 2**20 // 9))
    assert envi.open_cube(header).bands == 6
    header.write_text(seeds.ENVI_HEADER + "; filler\n" * (20 * 2**20 // 9))
    with pytest.raises(InputError, match="too large"):
        envi.open_cube(header)


# HDF5: built from parts that a hostile hand could choose.

DTYPES = st.sampled_from(["f4", ">f4", "f8", "f2", "i4", "S5", "?", "c8", "longdouble"])
SHAPES = st.one_of(
    st.lists(st.integers(0, 5), max_size=4).map(tuple),
    st.sampled_from([(4, 3, 6), (4, 3, 11), (2**31, 2**31, 6), (1, 1, 2**40), (2**62, 1, 1), (1, 2**33, 6)]),
)


@settings(FEW, max_examples=20)
@given(
    name=st.sampled_from(["radiance", "obs"]),
    parts=st.dictionaries(
        st.sampled_from(["", "sensor_band_parameters/wavelengths", "sensor_band_parameters/fwhm",
                         "sensor_band_parameters/observation_bands", "location/lon", "location/lat",
                         "location/elev", "location/glt_x", "location/glt_y"]),
        st.tuples(DTYPES, SHAPES, st.booleans()), max_size=3),
    attributes=st.dictionaries(
        st.sampled_from(["geotransform", "spatial_ref"]),
        st.one_of(st.text("aG[]\"1,", max_size=9), st.floats(), st.lists(st.floats(), max_size=7))),
)  # fmt: skip
def test_no_hdf5_escapes(tmp_path, name, parts, attributes):
    content = list(seeds.emit())[0 if name == "radiance" else 3]
    path = tmp_path / "granule.nc"
    path.write_bytes(content)
    with h5py.File(path, "r+") as file:
        for key, (dtype, shape, chunked) in parts.items():
            place = key or name
            if place in file:
                del file[place]
            # Never written: of any size, at no cost on the disk.
            chunks = tuple(min(side, 2) for side in shape) if chunked and shape and 0 not in shape else None
            dtype = np.longdouble if dtype == "longdouble" else dtype
            try:
                file.create_dataset(place, shape, dtype, chunks=chunks)
            except (ValueError, OSError, OverflowError):
                continue  # not even HDF5 takes that
        file.attrs.update(attributes)
    assert survives("emit", path.read_bytes(), tmp_path) is None


@pytest.mark.parametrize("kind", ["soft link", "external link", "storage", "virtual", "link in a group"])
def test_no_other_file_is_opened(tmp_path, kind):
    """The kernel itself says that the secret was not touched, whatever the file points to."""
    (tmp_path / "vault").mkdir()
    secret = tmp_path / "vault" / "secret.nc"
    with h5py.File(secret, "w") as file:
        file["obs"], file["lon"] = np.ones((7, 5, 11), "f4"), np.ones((7, 5))
    rad, _ = write_emit(tmp_path, arrays())
    with h5py.File(rad, "r+") as file:
        if kind == "link in a group":
            file["location"] = h5py.ExternalLink(str(secret), "/")
        else:
            del file["radiance"]
        if kind == "soft link":
            file["elsewhere"] = h5py.ExternalLink(str(secret), "/")
            file["radiance"] = h5py.SoftLink("/elsewhere/obs")
        elif kind == "external link":
            file["radiance"] = h5py.ExternalLink(str(secret), "/obs")
        elif kind == "storage":
            file.create_dataset("radiance", (7, 5, 12), "f4", external=[(str(secret), 0, 7 * 5 * 12 * 4)])
        elif kind == "virtual":
            layout = h5py.VirtualLayout((7, 5, 12), "f4")
            layout[..., :11] = h5py.VirtualSource(str(secret), "obs", (7, 5, 11))
            file.create_virtual_dataset("radiance", layout)
    with watched(secret) as opened:
        with pytest.raises(InputError, match="never followed"):
            emit.open_cube(rad).location()
        assert not opened()
        secret.read_bytes()
        assert opened()  # the watch works


class watched:  # noqa: N801 - reads as a statement
    """Asks the kernel (inotify) whether a file was opened."""

    def __init__(self, path):
        self.path = path

    def __enter__(self):
        libc = ctypes.CDLL(None, use_errno=True)
        self.handle = libc.inotify_init1(os.O_NONBLOCK)
        assert libc.inotify_add_watch(self.handle, os.fsencode(self.path), 0x20) >= 0  # IN_OPEN
        return self.events

    def events(self):
        try:
            return bool(os.read(self.handle, 4096))
        except BlockingIOError:
            return False

    def __exit__(self, *error):
        os.close(self.handle)


def bomb(path, unpacked, chunk):
    """A chunk that says it holds ``chunk`` numbers and unpacks to far more."""
    rad, _ = write_emit(path, arrays())
    packer = zlib.compressobj(1)
    packed = b"".join(packer.compress(bytes(2**20)) for _ in range(unpacked // 2**20)) + packer.flush()
    with h5py.File(rad, "r+") as file:
        del file["radiance"]
        shape = (1, chunk // 12, 12)
        data = file.create_dataset("radiance", shape, "f4", chunks=shape, compression="gzip")
        data.id.write_direct_chunk((0, 0, 0), packed)
    return rad


def test_a_chunk_that_unpacks_to_more_than_it_holds_is_refused_unread(tmp_path):
    rad = bomb(tmp_path, 150 * 2**20, 12 * 50_000)
    cube = emit.open_cube(rad)
    before = limits.getrusage(limits.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match="unpacks to more"):
        cube.read(0, 1)
    assert limits.getrusage(limits.RUSAGE_SELF).ru_maxrss - before < 50_000  # kB; HDF5 itself would take all of it


def test_a_small_chunk_with_too_much_in_it_is_refused_at_once(tmp_path):
    with pytest.raises(InputError, match="hold more than they should"):
        emit.open_cube(bomb(tmp_path, 2**20, 12))


def test_pieces_too_large_to_be_read_in_parts_name_the_way_out(tmp_path):
    rad, _ = write_emit(tmp_path, arrays())
    with h5py.File(rad, "r+") as file:
        del file["radiance"]
        shape = (1280, 3000, 12)
        file.create_dataset("radiance", shape, "f8", chunks=shape, compression="gzip")
    with pytest.raises(InputError, match=r"pieces of 352 MiB.*h5repack -l CHUNK=128x128x12"):
        emit.open_cube(rad)


def with_filters(folder, *filters):
    """A granule whose radiance went through these filters (code, parameters); all optional, or HDF5 would refuse."""
    rad, _ = write_emit(folder, arrays())
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_chunk((7, 5, 12))
    for code, parameters in filters:
        plan.set_filter(code, h5py.h5z.FLAG_OPTIONAL, parameters)
    with h5py.File(rad, "r+") as file:
        del file["radiance"]
        h5py.h5d.create(file.id, b"radiance", h5py.h5t.NATIVE_FLOAT, h5py.h5s.create_simple((7, 5, 12)), plan)
    return rad


def test_what_is_packed_twice_is_refused(tmp_path):
    with pytest.raises(InputError, match="packed twice"):
        emit.open_cube(with_filters(tmp_path, (h5py.h5z.FILTER_DEFLATE, (9,)), (h5py.h5z.FILTER_DEFLATE, (9,))))


def test_an_absent_filter_is_named_with_the_way_out(tmp_path, capsys):
    rad = with_filters(tmp_path, (32015, (3,)))  # Zstandard
    assert main(["deploy-pt", str(tmp_path / "m.tif"), str(rad)]) == 4
    error = capsys.readouterr().err
    assert "filter 32015" in error and "pip install hdf5plugin" in error and "h5repack" in error
    assert error.count("\n") == 1


def test_sizes_that_no_scene_has_are_refused_before_anything_is_made(tmp_path):
    rad, _ = write_emit(tmp_path, arrays())
    for shape in ((2**40, 2**20, 12), (1, 2**40, 12), (1, 5, 2**33)):
        with h5py.File(rad, "r+") as file:
            del file["radiance"]
            file.create_dataset("radiance", shape, "f4", chunks=(1, 1, 12))
        with pytest.raises(InputError, match="is not the size of a scene"):
            emit.open_cube(rad)


def test_a_scene_larger_than_the_machine_is_refused_before_its_location_is_read(tmp_path, capsys):
    """2**29 unwritten pixels: within any format's limits, beyond this process's."""
    data = arrays()
    rad, obs = write_emit(tmp_path, data)
    for path, name, bands in ((rad, "radiance", 12), (obs, "obs", 11)):
        with h5py.File(path, "r+") as file:
            del file[name]
            file.create_dataset(name, (2**19, 2**10, bands), "f4", chunks=(64, 64, bands))
    assert main(["deploy-pt", str(tmp_path / "m.tif"), str(obs), str(rad), "--memory-limit", "4GB"]) == 2
    assert "needs at least" in capsys.readouterr().err


def test_names_that_are_all_one_long_text_stay_one(tmp_path):
    _, obs = write_emit(tmp_path, arrays())
    with h5py.File(obs, "r+") as file:
        del file["sensor_band_parameters/observation_bands"]
        file["sensor_band_parameters/observation_bands"] = ["x" * 10**6] * 11
    assert all(len(name) <= 1000 for name in emit.open_cube(obs).band_names)


def test_a_pipe_is_no_scene(tmp_path):
    os.mkfifo(tmp_path / "rad.nc")
    with pytest.raises(InputError, match="not a plain file"):
        open_scene(tmp_path / "rad.nc")


@pytest.mark.parametrize("storage", [{}, {"chunks": (1, 5, 11)}])
def test_a_file_that_shrinks_while_it_is_read_is_an_error_not_a_crash(tmp_path, storage):
    rad, _ = write_emit(tmp_path, arrays(lines=400), **storage)
    cube = emit.open_cube(rad)
    os.truncate(rad, rad.stat().st_size // 4)
    with pytest.raises(InputError, match=r"became shorter|are missing"):
        cube.read(0, 400)
    header = write_envi(tmp_path / "x.img", arrays().radiance)
    cube = envi.open_cube(header)
    os.truncate(tmp_path / "x.img", 100)
    with pytest.raises(InputError, match="are missing"):
        cube.read(0, 7)
    (tmp_path / "x.img").unlink()
    with pytest.raises(InputError, match="No such file"):
        cube.read(0, 7)


def test_bytes_that_are_no_text_in_a_map_say_nothing_by_themselves(tmp_path, capfd):
    """GDAL, given the header itself, complained on standard error."""
    header = write_envi(tmp_path / "x.img", arrays().radiance)
    header.write_bytes(header.read_bytes() + b"map info = {UTM\xa8, 1, 1}\ncoordinate system string = {GEOGCS[\xff}\n")
    with suppress(InputError):
        envi.open_cube(header).grid()
    assert capfd.readouterr() == ("", "")
