import shutil
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from spectf_cloud.__main__ import main
from spectf_cloud.dataset import open_scene
from spectf_cloud.errors import InputError
from spectf_cloud.files.resources import resource
from spectf_cloud.readers.irradiance import read_irradiance
from spectf_cloud.readers.plausibility import doubts
from spectf_cloud.sensor import Sensor
from spectf_cloud.simulation.granule import SimulationConfig, simulate_granule
from spectf_cloud.toa import resample_irradiance

from jobs import small_weights
from scene_files import arrays, obs_fields, raster, wavelength_fields, write_envi
from small_scenes import as_reflectance

IRRADIANCE = read_irradiance(resource("irr.npy"))


def found(radiance, observation=None):
    return list(doubts(open_scene(radiance, observation), IRRADIANCE))


@pytest.fixture(scope="module")
def granule(tmp_path_factory):
    """A simulated EMIT granule, RAD and OBS, of physical radiance; copied for each test."""
    folder = tmp_path_factory.mktemp("granule")
    return simulate_granule(folder, SimulationConfig(lines=24, samples=30, seed=3))


@pytest.fixture
def pair(granule, tmp_path):
    return [Path(shutil.copy(granule.files[kind], tmp_path)) for kind in ("radiance", "observation")]


def edit(path, name, change):
    with h5py.File(path, "r+") as file:
        file[name][...] = change(file[name][...])


def scaled(values, factor):
    return np.where(values == -9999, values, factor * values)


def test_an_ordinary_granule_raises_no_doubt(pair):
    assert found(pair[0]) == []


REFUSED = {
    "ten times": (lambda rad, obs: edit(rad, "radiance", lambda v: scaled(v, 10)), "W m-2 sr-1 um-1"),
    "a thousandth": (lambda rad, obs: edit(rad, "radiance", lambda v: scaled(v, 0.001)), "air alone"),
    "turned": (lambda rad, obs: edit(rad, "radiance", lambda v: v[..., ::-1]), "run against"),
    "zero": (lambda rad, obs: edit(rad, "radiance", np.zeros_like), "all radiance is zero"),
    "radians": (lambda rad, obs: edit(obs, "obs", to_radians), "radians"),
    "elsewhere": (lambda rad, obs: edit(obs, "location/lon", lambda v: v + 3), "another scene's"),
    "sun of another day": (lambda rad, obs: edit(obs, "obs", lambda v: shifted(v, 4, 20)), "at the time and place"),
}


def to_radians(obs):
    return np.concatenate([obs[..., :1], np.where(obs == -9999, obs, np.deg2rad(obs))[..., 1:9], obs[..., 9:]], axis=-1)


def shifted(obs, band, by):
    obs[..., band] = np.where(obs[..., band] == -9999, -9999, obs[..., band] + by)
    return obs


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_right_is_refused_and_can_be_trusted(pair, tmp_path, capsys, case):
    spoil, message = REFUSED[case]
    spoil(*pair)
    out = tmp_path / "m.tif"
    assert main(["deploy-pt", str(out), str(pair[1]), str(pair[0])]) == 3
    error = capsys.readouterr().err
    assert message in error and "--trust-input" in error and error.count("\n") == 1
    assert not out.exists()


@pytest.mark.parametrize("case", ["elsewhere", "ten times"])
def test_trusted_input_is_masked_with_a_warning(pair, tmp_path, capsys, case):
    REFUSED[case][0](*pair)
    out = tmp_path / "m.tif"
    weights = str(small_weights(tmp_path))
    assert main(["deploy-pt", str(out), str(pair[0]), "--trust-input", "--weights", weights]) == 0
    assert "warning: " in capsys.readouterr().err
    with raster(out) as mask:
        assert mask.shape == (24, 30)


def test_the_observation_of_another_time_is_refused(pair, tmp_path, capsys):
    other = pair[1].rename(tmp_path / "EMIT_L1B_OBS_001_20200101T000000_2000101_001.nc")
    assert main(["deploy-pt", str(tmp_path / "m.tif"), str(other), str(pair[0])]) == 3
    assert "is of 2020-01-01 00:00:00" in capsys.readouterr().err


def test_dead_bands_of_whole_numbers_are_named(tmp_path):
    """Of floating-point numbers they are left out: see test_bad_bands."""
    data = arrays()
    data.radiance[..., 6] = 0
    fields = wavelength_fields() | {"data gain values": "{" + ", ".join(["0.001"] * 12) + "}"}
    write_envi(tmp_path / "rdn", np.rint(data.radiance / 0.001), dtype="<i4", fields=fields)
    write_envi(tmp_path / "obs", data.obs, fields=obs_fields())
    (doubt,) = (each for each in found(tmp_path / "rdn", tmp_path / "obs") if "zero" in each.text)
    assert "1 of 12 bands are all zero, the first at 1491 nm" in doubt.text and not doubt.impossible


def test_a_sun_overhead_is_only_doubted(pair):
    """Within 1.57 degrees of the zenith and no clock to tell: radians or not, nobody knows."""
    edit(pair[1], "obs", lambda v: shifted(np.where(v == -9999, v, v) * [1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1], 4, 1.2))
    nameless = pair[0].rename(pair[0].with_name("scene_rad.nc"))
    observation = pair[1].rename(pair[1].with_name("scene_obs.nc"))
    (doubt,) = found(nameless, observation)
    assert "overhead, or radians" in doubt.text and not doubt.impossible


def test_the_dark_side_of_the_earth_raises_no_doubt(pair):
    edit(pair[1], "obs", lambda v: shifted(v, 4, 89))
    edit(pair[0], "radiance", lambda v: scaled(v, 0))
    assert [doubt for doubt in found(*pair) if "time and place" not in doubt.text] == []


@pytest.mark.parametrize("preset", ["ocean", "overcast", "snow"])
def test_unusual_scenes_are_no_mistakes(tmp_path, preset):
    granule = simulate_granule(tmp_path, SimulationConfig(lines=12, samples=24, seed=5, preset=preset))
    assert found(granule.files["radiance"]) == []


def test_real_radiance_raises_no_doubt(reference):
    assert found(reference / "avirisng" / "ang20170323t202244_rdn_7000-7010") == []


def test_the_real_sun_stands_where_the_real_geometry_says(reference, tmp_path):
    """A real OBS file with radiance of its time and place: no doubt; an hour later: the sun gives it away."""
    real = next((reference / "emit").glob("EMIT_L1B_OBS_*.nc"))
    for name, expected in (("20220827T060753", []), ("20220827T070753", ["time and place"])):
        rad = tmp_path / f"EMIT_L1B_RAD_001_{name}.nc"
        with h5py.File(real) as obs, h5py.File(rad, "w") as file:
            obs.copy("location", file)
            file["radiance"] = np.full((200, 200, 2), 5.0, "f4")
            file["sensor_band_parameters/wavelengths"] = np.array([550.0, 650.0])
            file["sensor_band_parameters/fwhm"] = np.array([9.0, 9.0])
        plain = Path(shutil.copy(real, tmp_path / "obs.nc"))
        texts = [doubt.text for doubt in found(rad, plain)]
        assert len(texts) == len(expected) and all(word in text for word, text in zip(expected, texts, strict=True))


def as_envi(folder, values, sensor, gain=1.0):
    """A spectrum (bands,) as every pixel of an ENVI scene under a sun at 40 degrees."""
    cube = np.tile(values * gain, (5, 8, 1)).astype("f4")
    fields = {
        "wavelength": "{" + ", ".join(map(str, sensor.wavelength_nm)) + "}",
        "fwhm": "{" + ", ".join(map(str, sensor.fwhm_nm)) + "}",
    }
    write_envi(folder / "a_rdn", cube, fields=fields)
    obs = np.zeros((5, 8, 11))
    obs[..., 1], obs[..., 3], obs[..., 4], obs[..., 10] = 100, 150, 40, 1
    write_envi(folder / "a_obs", obs, dtype="<f8", fields=obs_fields())
    return folder / "a_rdn"


def emit_mean(reference):
    from scipy.io import loadmat

    table = np.loadtxt(reference / "emit" / "emit_wavelengths_285.txt")
    mean = loadmat(reference / "emit" / "EMIT_Normalized_Radiances_20240110.mat")["radiance_mean"].ravel()
    # The published mean is of spectra of length one; 100 makes it an ordinary radiance.
    return Sensor("EMIT", table[:, 1], table[:, 2]), 100 * mean


def test_the_mean_of_real_emit_radiance_raises_no_doubt_and_turned_it_does(reference, tmp_path):
    sensor, mean = emit_mean(reference)
    assert found(as_envi(tmp_path, mean, sensor)) == []
    (doubt,) = found(as_envi(tmp_path, mean[::-1], sensor))
    assert "run against" in doubt.text and doubt.impossible
    turned = Sensor("EMIT", sensor.wavelength_nm[::-1], sensor.fwhm_nm[::-1])
    assert found(as_envi(tmp_path, mean[::-1], turned)) == []  # both turned: nothing is wrong


@pytest.mark.parametrize("gain", [1.0, 10_000.0])
def test_real_reflectance_is_not_radiance(reference, tmp_path, gain):
    golden = np.load(reference / "golden" / "emit_spectra.npz")
    sensor = Sensor("EMIT", golden["wavelength"], np.full(268, 8.6))
    for source in (0, 1):
        mean = golden["toa_reflectance"][golden["source"] == source].mean(axis=0)
        (doubt,) = found(as_envi(tmp_path, mean, sensor, gain))
        assert "reflectance" in doubt.text and doubt.impossible


def test_sea_in_units_ten_times_too_large_is_suspected(tmp_path):
    sensor = Sensor("eight bands", np.linspace(440.0, 890.0, 8), np.full(8, 10.0))
    solar = resample_irradiance(IRRADIANCE, sensor.wavelength_nm, sensor.fwhm_nm) * np.cos(np.deg2rad(40)) / np.pi
    sea = 0.1 * (sensor.wavelength_nm / 440) ** -3.5
    assert found(as_envi(tmp_path, sea * solar, sensor)) == []
    (doubt,) = found(as_envi(tmp_path, sea * solar, sensor, 10))
    assert "as sea in units 10 times too large" in doubt.text and not doubt.impossible


@pytest.mark.parametrize(
    ("factor", "units", "other"), [(1000, "Nanometers", "micrometers"), (1, "Micrometers", "nanometers")]
)
def test_centres_that_their_units_belie_are_refused(tmp_path, factor, units, other):
    write_envi(tmp_path / "a_rdn", arrays().radiance, fields=wavelength_fields(factor, units))
    write_envi(tmp_path / "a_obs", arrays().obs, fields=obs_fields())
    with pytest.raises(InputError, match=f"say that they are {other}"):
        open_scene(tmp_path / "a_rdn")


@pytest.mark.parametrize(("step", "refused"), [(0.002, True), (-0.002, True), (0.001, False), (None, False)])
def test_radiance_packed_too_coarsely_for_cirrus_is_refused(pair, step, refused):
    with h5py.File(pair[0], "r+") as file:
        values = file["radiance"][...]
        del file["radiance"]
        fill = np.int32(-9999)
        packed = np.where(values == -9999, fill, np.rint(values / (step or 1))) if step else values
        file["radiance"] = packed.astype("i4") if step else packed
        file["radiance"].attrs["_FillValue"] = fill if step else np.float32(-9999)
        if step:
            file["radiance"].attrs["scale_factor"] = np.float32(step)
    assert [doubt.impossible for doubt in found(pair[0]) if "scale_factor" in doubt.text] == [True] * refused


@pytest.mark.parametrize(("gains", "said"), [((0.002, 0.002), True), ((0.001, 0.001), False), ((0.002, 0.003), False)])
def test_coarse_whole_numbers_of_envi_may_be_counts_and_are_only_said(tmp_path, pair, gains, said):
    with h5py.File(pair[0]) as file:
        values = file["radiance"][...]
        listed = {key: file[f"sensor_band_parameters/{key}"][...].tolist() for key in ("wavelengths", "fwhm")}
    gain = np.resize(gains, values.shape[2])
    lists = {"wavelength": listed["wavelengths"], "fwhm": listed["fwhm"], "data gain values": gain.tolist()}
    fields = {"wavelength units": "nm"} | {key: f"{{{', '.join(map(str, of))}}}" for key, of in lists.items()}
    write_envi(tmp_path / "a_rdn", np.where(values == -9999, -9999, np.rint(values / gain)), dtype="<i4", fields=fields)
    said_of = [doubt.impossible for doubt in found(tmp_path / "a_rdn", pair[1]) if "packed in steps" in doubt.text]
    assert said_of == [False] * said


@pytest.mark.parametrize("value", [9.96921e36, -7777.0, 65535.0])
def test_bands_of_what_no_sunlight_gives_are_said(pair, value):
    def fill(values):
        values[..., 128:140] = np.where(values[..., 128:140] == -9999, -9999, value)
        return values

    edit(pair[0], "radiance", fill)
    (doubt,) = found(pair[0])
    assert (
        f"12 bands hold what no sunlight gives, the first {value:g} at 1335 nm" in doubt.text and not doubt.impossible
    )


@pytest.mark.parametrize(("scale", "said"), [(1, []), (1e4, ["is its scale factor missing?"])])
def test_reflectance_without_its_scale_is_refused(pair, scale, said):
    scene = as_reflectance(open_scene(*pair), IRRADIANCE)
    values = np.where(scene.image.values == -9999, -9999, scene.image.values * scale)
    found = list(doubts(replace(scene, image=replace(scene.image, values=values)), IRRADIANCE))
    assert [doubt.text.split("; ")[-1] for doubt in found] == said
    assert all(doubt.impossible for doubt in found)
