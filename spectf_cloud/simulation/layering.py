"""How layers add up: ground under air, and a cloud over whatever is beneath it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Float32Array = NDArray[np.float32]


class Cloud(NamedTuple):
    """Bidirectional reflectance, transmittance down times up, and diffuse reflectance of a cloud, (n, bands) each."""

    reflectance: Float32Array
    two_way: Float32Array
    spherical_albedo: Float32Array


class AirAbove(NamedTuple):
    """The air above a cloud, (n, bands) each.

    Its own reflectance; its transmittance for the cloud's light, gases and Rayleigh scattering, both ways; what
    it reflects back down.
    """

    path: Float32Array
    two_way: Float32Array
    albedo: Float32Array


def under_air(albedo: Float32Array, air_albedo: Float32Array) -> Float32Array:
    """Diffuse albedo of a ground seen from above a layer of air that scatters without loss.

    s + (1 - s)² r/(1 - s r): never above 1, and 1 for a white ground.
    """
    seen: Float32Array = air_albedo + (1 - air_albedo) ** 2 * albedo / (1 - air_albedo * albedo)
    return seen


def cloud_over(
    toa: Float32Array, albedo: Float32Array, cloud: Cloud, air: AirAbove
) -> tuple[Float32Array, Float32Array]:
    """Lay a cloud over something.

    The cloud's own light passes the air above; what is beneath is seen through the cloud, brightened by the light
    trapped under it; both gain the light that the air above throws back.

    Parameters
    ----------
    toa
        (n, bands) TOA reflectance without the cloud.
    albedo
        (n, bands) diffuse albedo of all that lies beneath the cloud.

    Returns
    -------
    TOA reflectance with the cloud, and the diffuse albedo of cloud and all beneath, (n, bands) each.
    """
    through = cloud.two_way / (1 - cloud.spherical_albedo * albedo)
    together = np.minimum(cloud.spherical_albedo + through * albedo, 1)
    own = air.two_way * cloud.reflectance
    # ``toa`` holds light thrown to and fro between the air and what was there before; now the cloud is, too.
    beneath = through * (toa - air.path) * (1 - air.albedo * albedo)
    return air.path + (own + beneath) / (1 - air.albedo * together), together
