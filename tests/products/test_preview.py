"""The picture's bands read again are those that masking kept."""

import numpy as np

from spectf_cloud.dataset import open_scene
from spectf_cloud.mapping.mask_scene import mask_scene
from spectf_cloud.products.preview import read_preview

from scene_files import arrays, write_emit


def test_the_preview_is_what_masking_keeps(tmp_path):
    data = arrays(lines=5, samples=6)
    data.radiance[1, 2] = -9999
    data.obs[3, 4, 4] = 95.0
    scene = open_scene(*write_emit(tmp_path, data))
    kept, read = mask_scene(scene).preview, read_preview(scene)
    np.testing.assert_array_equal(read.wavelength_nm, kept.wavelength_nm)
    np.testing.assert_array_equal(read.reflectance, kept.reflectance)
    np.testing.assert_array_equal(read_preview(scene, step=2).reflectance, kept.reflectance[::2, ::2])
    assert np.isnan(read.reflectance[1, 2]).all()
    assert np.isnan(read.reflectance[3, 4]).all()
