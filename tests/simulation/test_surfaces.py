"""Parametric surfaces, spectral libraries, random fields and noise."""

from itertools import pairwise

import numpy as np
import pytest

from spectf_cloud.errors import InputError
from spectf_cloud.sensor import Sensor
from spectf_cloud.simulation import fields, library, noise, surfaces

NM = Sensor.emit().wavelength_nm


def at(spectrum, nm):
    return np.interp(nm, NM, spectrum)


@pytest.mark.parametrize("name", surfaces.CLASSES)
def test_every_draw_is_a_reflectance(name):
    rng = np.random.default_rng(1)
    for _ in range(30):
        spectrum = surfaces.draw(name, NM, rng)
        assert spectrum.shape == NM.shape
        assert spectrum.min() > 0 and spectrum.max() <= 1


@pytest.mark.parametrize("name", ["vegetation", "soil", "water", "snow"])
def test_draws_are_told_as_their_own_class(name):
    rng = np.random.default_rng(2)
    told = [library.classify(surfaces.draw(name, NM, rng), NM) for _ in range(40)]
    alike = {"vegetation": {"vegetation", "dry vegetation"}, "soil": {"soil", "sand", "urban"}}.get(name, {name})
    assert sum(label in alike for label in told) >= 38


def test_features_stand_where_they_should():
    leaf = surfaces.vegetation(NM, 1.0, 0.05, 0.5)
    assert at(leaf, 865) > 5 * at(leaf, 670) and at(leaf, 550) > 1.5 * at(leaf, 670)
    assert at(leaf, 1450) < 0.5 * at(leaf, 1650)
    fine, coarse = surfaces.snow(NM, 0.1, 0.0), surfaces.snow(NM, 1.0, 0.0)
    assert at(fine, 500) > 0.95 and (coarse <= fine + 1e-9).all() and at(coarse, 1640) < 0.06
    clear, muddy = surfaces.water(NM, 0.001, 0.02), surfaces.water(NM, 0.3, 0.5)
    assert at(clear, 450) > at(clear, 600) and at(muddy, 600) > 5 * at(clear, 600)
    assert at(muddy, 1640) == pytest.approx(at(clear, 1640), abs=0.002)
    dry, wet = surfaces.soil(NM, 0.4, 0.5, 0.5, 0.0), surfaces.soil(NM, 0.4, 0.5, 0.5, 0.02)
    assert (wet <= dry).all() and at(wet, 1940) < 0.4 * at(dry, 1940)


def test_water_reflects_sun_by_fresnel():
    strong = surfaces.sun_glint(NM, 0.2) - surfaces.sun_glint(NM, 0.0)
    index = 1.33
    assert at(strong, 560) == pytest.approx(0.2 * ((index - 1) / (index + 1)) ** 2 / 0.02, rel=0.05)


def write_library(path, nm, spectra, samples_are_bands=True):
    order = np.asarray(spectra, "<f4")
    order.tofile(path)
    lines, samples, bands = (len(spectra), len(nm), 1) if samples_are_bands else (1, len(spectra), len(nm))
    path.with_name(path.name + ".hdr").write_text(
        f"ENVI\nsamples = {samples}\nlines = {lines}\nbands = {bands}\nheader offset = 0\ndata type = 4\n"
        "interleave = bip\nbyte order = 0\nwavelength units = Micrometers\nwavelength = {\n"
        + ",".join(f"{value / 1000:.5f}" for value in nm)
        + "}\n"
    )


@pytest.mark.parametrize("as_library", [True, False])
def test_envi_libraries_are_read_in_nm(tmp_path, as_library):
    nm = np.arange(380.0, 2501.0, 10.0)
    spectra = [surfaces.vegetation(nm, 1.0, 0.05, 0.5), surfaces.snow(nm, 0.5, 0.0)]
    path = tmp_path / "surfaces.sli"
    write_library(path, nm, spectra, as_library)
    found = library.read_library(path, NM)
    assert set(found) == {"vegetation", "snow"}
    inner = (NM > 400) & (NM < 2480)
    assert found["snow"][0][inner] == pytest.approx(surfaces.snow(NM, 0.5, 0.0)[inner], abs=0.02)
    assert set(library.read_library(tmp_path / "surfaces.sli.hdr", NM)) == set(found)


def test_csv_libraries_may_step_back_in_wavelength(tmp_path):
    nm = np.concatenate([np.arange(380, 700, 5), np.arange(667.6, 2510, 5)])
    table = np.column_stack([nm / 1000, surfaces.soil(nm, 0.3, 0.5, 0.5, 0.0)])
    path = tmp_path / "soil.csv"
    np.savetxt(path, table, delimiter=",", header="wavelength,loam", comments="")
    assert library.read_library(path, NM)["soil"][0] == pytest.approx(surfaces.soil(NM, 0.3, 0.5, 0.5, 0.0), abs=0.01)


def test_bright_laboratory_samples_and_nonsense_are_left_out():
    white = np.full(len(NM), 0.9)
    assert library.classify(white, NM) is None
    assert library.classify(np.full(len(NM), 0.1), NM) == "urban"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("short.csv", "500,0.2\n600,0.3\n", "must cover"),
        ("words.csv", "a,b\nc,d\n", "not a CSV"),
        ("bare.csv", "400\n2500\n", "add a column"),
        ("white.csv", "350,7\n2500,7\n", "looks like a surface"),
    ],
)
def test_unusable_libraries_say_why(tmp_path, name, text, message):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(InputError, match=message) as error:
        library.read_library(path, NM)
    assert str(path) in str(error.value)


def test_missing_library_names_what_is_missing(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        library.read_library(tmp_path / "none.sli", NM)


def test_fields_have_the_spectrum_asked_for():
    rng = np.random.default_rng(0)
    field = fields.power_law((256, 256), 3.0, rng, periodic=True)
    assert field.dtype == np.float32
    assert field.mean() == pytest.approx(0, abs=1e-4) and field.std() == pytest.approx(1, abs=1e-4)
    power = np.abs(np.fft.fft2(field)) ** 2
    k = np.hypot(*np.meshgrid(np.fft.fftfreq(256), np.fft.fftfreq(256)))
    bins = np.geomspace(0.015, 0.4, 9)
    mean = [power[(k >= low) & (k < high)].mean() for low, high in pairwise(bins)]
    slope = np.polyfit(np.log(np.sqrt(bins[1:] * bins[:-1])), np.log(mean), 1)[0]
    assert slope == pytest.approx(-3.0, abs=0.25)


def test_periodic_fields_fit_at_their_edges():
    field = fields.power_law((64, 90), 3.5, np.random.default_rng(0), periodic=True)
    seam = np.abs(field[:, 0] - field[:, -1]).mean()
    assert seam < 2 * np.abs(np.diff(field, axis=1)).mean()


def test_covering_takes_the_share_asked_for():
    field = fields.power_law((200, 200), 2.9, np.random.default_rng(3))
    assert (fields.covering(field, 0.3) > 0).mean() == pytest.approx(0.3, abs=0.01)
    assert fields.covering(field, 0.0).max() == 0
    assert (fields.covering(field, 1.0) > 0).mean() > 0.999


def test_soft_choice_adds_to_one():
    rng = np.random.default_rng(4)
    shares = fields.soft_choice([fields.power_law((40, 50), 3.2, rng) for _ in range(3)], 6.0)
    assert shares.shape == (3, 40, 50)
    assert shares.sum(axis=0) == pytest.approx(np.ones((40, 50)), abs=1e-5)


def test_blur_keeps_the_sum_inside():
    field = np.zeros((21, 21), np.float32)
    field[10, 10] = 1
    blurred = fields.blur(field, 1.0)
    assert blurred.sum() == pytest.approx(1, abs=1e-5)
    assert blurred[10, 10] == pytest.approx(1 / (2 * np.pi), rel=0.02)


def test_noise_grows_as_the_root_of_light():
    weak, strong = (noise.noise_sigma(np.full((1, len(NM)), level), NM) for level in (0.0, 400.0))
    a = noise.photon_coefficient(NM)
    assert strong[0] ** 2 - weak[0] ** 2 == pytest.approx(a**2 * 400)
    assert (weak > 0).all()


def test_noise_is_of_the_size_of_the_instrument(reference):
    table = np.loadtxt(reference / "surfaces" / "emit_noise.txt")
    # In the deepest water bands the table is known not to hold; the seam of the order filter is not modelled.
    nm = table[:, 0]
    sane = ~(((nm > 1275) & (nm < 1455)) | ((nm > 1785) & (nm < 1965)))
    for radiance in (0.5, 5.0):
        real = table[:, 1] * np.sqrt(table[:, 2] + radiance)
        ours = noise.noise_sigma(np.full((1, len(table)), radiance), table[:, 0])[0]
        assert np.abs(np.log(ours / real))[sane].max() < 0.45
