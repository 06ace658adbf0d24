"""Classes of simulated scenes, against the definition by hand."""

from dataclasses import replace

import numpy as np
import pytest

from spectf_cloud.classes import CLOUD_SHADOW, LAND, NODATA, SNOW, THICK_CLOUD, THIN_CLOUD, WATER
from spectf_cloud.simulation.cloud_fields import Land
from spectf_cloud.simulation.config import SimulationConfig
from spectf_cloud.simulation.granule import simulate_scene
from spectf_cloud.simulation.surfaces import CLASSES
from spectf_cloud.simulation.truth import class_shares, class_truth, classify, surface_kind


@pytest.mark.parametrize(
    ("liquid", "ice", "lost", "surface", "expected"),
    [
        (0.0, 0.0, 0.0, LAND, LAND),
        (0.049, 0.029, 0.5, WATER, WATER),
        (0.0, 0.0, 0.51, SNOW, CLOUD_SHADOW),
        (0.05, 0.0, 0.0, LAND, NODATA),  # between clear and thin
        (0.0, 0.03, 0.9, LAND, NODATA),  # not clear enough to be shadow
        (0.49, 0.099, 0.0, LAND, NODATA),
        (0.5, 0.0, 0.0, LAND, THIN_CLOUD),
        (0.0, 0.1, 0.9, SNOW, THIN_CLOUD),  # a cloud in shadow is a cloud
        (3.99, 1.49, 0.0, WATER, THIN_CLOUD),
        (4.0, 0.0, 0.0, WATER, THICK_CLOUD),
        (0.0, 1.5, 0.9, LAND, THICK_CLOUD),
        (-9999.0, -9999.0, -9999.0, LAND, NODATA),
    ],
)
def test_the_definition(liquid, ice, lost, surface, expected):
    arrays = (np.array([value], np.float32) for value in (liquid, ice, lost))
    assert classify(*arrays, np.array([surface], np.uint8)) == [expected]


def test_surfaces_of_one_kind_count_together():
    """Two kinds of land outweigh the largest share, which is snow's."""
    names = ("vegetation", "soil", "snow", "sun glint", "ice")
    shares = np.array([[0.3, 0.0, 0.1], [0.3, 0.1, 0.0], [0.4, 0.3, 0.2], [0.0, 0.0, 0.7], [0.0, 0.6, 0.0]], np.float32)
    ones = np.ones((1, 3), np.float32)
    land = Land(tuple(CLASSES.index(name) + 1 for name in names), shares[:, None], ones, ones)
    assert surface_kind(land).tolist() == [[LAND, SNOW, WATER]]


def test_a_scene_agrees_with_its_own_layers():
    scene = simulate_scene(SimulationConfig(lines=64, samples=64, seed=4, preset="mixed", format="tif"))
    classes, layers, valid = class_truth(scene), scene.truth(), scene.geometry.valid
    assert (classes[~valid] == NODATA).all()
    assert (layers["mask"][classes == THICK_CLOUD] == 1).all()
    assert (layers["optical_thickness"][classes <= SNOW] < 0.08).all()
    assert (layers["shadow"][classes == CLOUD_SHADOW] > 0.5).all()
    shares = class_shares(classes, valid)
    assert sum(shares.values()) == pytest.approx(1) and 0 < shares["left out"] < 0.2
    assert shares["thick cloud"] == (classes[valid] == THICK_CLOUD).mean()


def test_a_shadow_is_darker_than_its_surroundings():
    """And than the same ground in full light: by half or more where the sky gives little."""
    config = SimulationConfig(lines=64, samples=64, seed=4, preset="scattered", format="tif")
    scene = simulate_scene(config)
    lit = replace(scene, light=np.ones_like(scene.light))
    classes = class_truth(scene).ravel()
    band = int(np.abs(scene.sensor.wavelength_nm - 1650).argmin())
    shadow, ground = np.flatnonzero(classes == CLOUD_SHADOW), np.flatnonzero(classes == LAND)
    assert len(shadow) > 50
    dark = scene.reflectance(shadow)
    assert (dark < lit.reflectance(shadow) + 1e-6).all()
    assert (dark[:, band] < 0.7 * lit.reflectance(shadow)[:, band]).mean() > 0.95
    assert np.median(dark[:, band]) < 0.6 * np.median(scene.reflectance(ground)[:, band])
