"""Cloud particles, the doubling method, and the layers put together."""

import numpy as np
import pytest

from spectf_cloud.simulation import clouds, doubling, tables
from spectf_cloud.simulation.layering import AirAbove, Cloud, cloud_over, under_air
from spectf_cloud.simulation.lookup import along, along_both, locate

import adding
import white_worlds

COSINES = (0.7, 0.98)


def white(asymmetry=0.85, bands=1):
    return np.ones(bands), clouds.legendre_moments(np.full(bands, asymmetry), "liquid")


def test_indices_are_those_of_the_sources():
    # Warren and Brandt (2008) and Segelstein (1981), read off their tables.
    n, k = tables.refractive_index("ice", np.array([1030.0, 1640.0]))
    assert n == pytest.approx([1.3010, 1.2882], abs=2e-4)
    assert k == pytest.approx([2.33e-6, 2.44e-4], rel=0.02)
    assert tables.refractive_index("liquid", np.array([865.0]))[1] == pytest.approx(3.5e-7, rel=0.05)


def test_small_absorption_is_that_of_the_volume():
    """Weakly absorbing spheres absorb by their volume: (4/3) a r, a little more for refraction."""
    nm = np.array([1050.0])
    volume = 4 / 3 * tables.absorption_per_cm("liquid", nm) * 10e-4
    ratio = clouds.absorption_efficiency(nm, 10.0, "liquid") / volume
    assert 0.9 < ratio[0] < 1.35
    assert clouds.absorption_efficiency(np.array([1940.0, 2500.0]), 1000.0, "ice") == pytest.approx(0.94, abs=0.02)


def test_particles_are_white_in_the_visible_and_dark_in_water_bands():
    matter = clouds.particles(np.array([550.0, 865.0, 1650.0, 1940.0]), 10.0, "liquid")
    assert matter.extinction[0] == 1.0
    assert matter.albedo[0] == pytest.approx(1, abs=1e-5)
    assert (np.diff(matter.albedo) < 0).all() and matter.albedo[3] > 0.5
    assert (matter.asymmetry > 0.7).all() and (matter.asymmetry < 1).all()


@pytest.mark.parametrize("phase", ["liquid", "ice"])
def test_moments_have_the_mean_cosine(phase):
    asymmetry = np.array([0.7, 0.85, 0.9, 0.97])
    moments = clouds.legendre_moments(asymmetry, phase)
    assert moments[:, 0] == pytest.approx(np.ones(4))
    assert moments[:, 1] == pytest.approx(asymmetry)
    assert (np.abs(moments) <= 1).all()


def test_doubling_loses_no_light():
    for layer in doubling.double(np.array([0.15]), 10, *white(), COSINES):
        assert layer.plane_albedo + layer.sun == pytest.approx([1.0], abs=1e-6)


def test_thin_layers_scatter_once():
    depth = 1e-3
    moments = np.zeros((1, doubling.MOMENTS))
    moments[0, 0] = 1.0
    layer = doubling.double(np.array([depth]), 0, np.array([0.9]), moments, COSINES)[0]
    once = 0.9 / (4 * sum(COSINES)) * -np.expm1(-depth * sum(1 / c for c in COSINES))
    assert layer.reflectance == pytest.approx([once], rel=0.01)


def test_a_deep_grey_layer_follows_the_h_functions():
    """Isotropic scattering without bottom: w/4 H(a) H(b)/(a + b), with H of Chandrasekhar (1960), here iterated."""
    albedo = 0.8
    nodes, weights = np.polynomial.legendre.leggauss(64)
    mu, weights = 0.5 * (nodes + 1), 0.5 * weights
    h = np.ones(64)
    for _ in range(200):
        h = 1 / (np.sqrt(1 - albedo) + albedo / 2 * ((mu * h * weights) / (mu[:, None] + mu)).sum(axis=1))
    at = [
        float(1 / (np.sqrt(1 - albedo) + albedo / 2 * np.sum(mu * h * weights / (cosine + mu)))) for cosine in COSINES
    ]
    moments = np.zeros((1, doubling.MOMENTS))
    moments[0, 0] = 1.0
    layer = doubling.double(np.array([200.0]), 0, np.array([albedo]), moments, COSINES)[0]
    assert layer.reflectance == pytest.approx([albedo / 4 * at[0] * at[1] / sum(COSINES)], rel=0.005)


def test_reflection_is_reciprocal():
    first, second = (doubling.double(np.array([4.0]), 0, *white(), pair)[0] for pair in (COSINES, COSINES[::-1]))
    assert first.reflectance == pytest.approx(second.reflectance, rel=1e-6)
    assert first.sun == pytest.approx(second.view)


def test_table_rises_with_thickness_and_absorbs_in_the_infrared():
    nm = np.array([550.0, 1650.0, 2200.0])
    table = clouds.tabulate(nm, 10.0, "liquid", COSINES)
    assert table.thickness[0] == 0 and table.thickness[-1] > 200
    assert (np.diff(table.reflectance, axis=0) > -1e-5).all()
    assert (np.diff(table.two_way, axis=0) < 1e-6).all()
    assert table.reflectance[-1, 0] > table.reflectance[-1, 1] > table.reflectance[-1, 2]
    assert table.two_way[0] == pytest.approx(np.ones(3)) and table.reflectance[0] == pytest.approx(np.zeros(3))


def test_ice_is_darker_than_water_at_1650_nm():
    nm = np.array([1650.0])
    ice, water = (clouds.tabulate(nm, 20.0, phase, COSINES).reflectance[-1, 0] for phase in ("ice", "liquid"))
    assert ice < 0.8 * water


def test_lookup_interpolates_and_clamps():
    table = np.arange(12, dtype=np.float32).reshape(3, 2, 2)
    first = locate(np.array([0.0, 1.0, 3.0]), np.array([-1.0, 0.5, 2.0, 9.0]))
    assert along(table[:, 0], first)[:, 0].tolist() == [0.0, 2.0, 6.0, 8.0]
    second = locate(np.array([0.0, 1.0]), np.full(4, 0.25))
    assert along_both(table, first, second)[:, 0].tolist() == [0.5, 2.5, 6.5, 8.5]


def test_no_cloud_changes_nothing_and_a_white_one_hides_all():
    toa, albedo = np.full((1, 2), 0.3), np.full((1, 2), 0.2)
    air = AirAbove(np.full((1, 2), 0.05), np.full((1, 2), 0.9), np.full((1, 2), 0.06))
    nothing = Cloud(np.zeros((1, 2)), np.ones((1, 2)), np.zeros((1, 2)))
    seen, after = cloud_over(toa, albedo, nothing, air)
    assert seen == pytest.approx(toa) and after == pytest.approx(albedo)
    opaque = Cloud(np.ones((1, 2)), np.zeros((1, 2)), np.ones((1, 2)))
    seen, after = cloud_over(toa, albedo, opaque, air)
    assert seen == pytest.approx(np.full((1, 2), 0.05 + 0.9 / (1 - 0.06))) and after == pytest.approx(np.ones((1, 2)))


def test_white_ground_under_air_stays_white():
    assert under_air(np.array([1.0]), np.array([0.2])) == pytest.approx([1.0])
    assert under_air(np.array([0.0]), np.array([0.2])) == pytest.approx([0.2])


def test_white_worlds_send_all_light_back():
    low, high = white_worlds.white_surface()
    assert low > 0.97 and high < 1.03
    low, high = white_worlds.thick_cloud()
    assert low > 0.97 and high < 1.03


@pytest.mark.parametrize("case", [(30.0, 1.0, 5.0, 0.2), (60.0, 8.0, 0.3, 0.05), (30.0, 3.0, 20.0, 0.8)])
def test_layers_agree_with_adding_all_directions(case):
    assert adding.simulated(*case) == pytest.approx(adding.added(*case), rel=0.06)
    # In the near infrared, where air scatters little, much closer.
    assert adding.simulated(*case)[-1] == pytest.approx(adding.added(*case)[-1], rel=0.03)
