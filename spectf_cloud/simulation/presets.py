"""Kinds of scenes: which land, how much cloud, where on Earth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from spectf_cloud.errors import UsageError

Range = tuple[float, float]

#: Columns of water vapour (cm) of the AFGL standard atmospheres (Anderson et al. 1986).
TROPICAL, SUMMER, STANDARD, WINTER, SUBARCTIC_WINTER = 4.1, 2.9, 1.42, 0.85, 0.42


@dataclass(frozen=True)
class Preset:
    """What a scene is drawn from; every range is uniform.

    Attributes
    ----------
    liquid_cover, ice_cover
        Share of the scene under water cloud and under ice cloud.
    steepness
        How fast optical thickness grows into a water cloud.
    ice_steepness
        The same of an ice cloud.
    base_km, ice_top_km
        Base of the water clouds and top of the ice clouds, above the ground.
    land
        Surface classes and how often each is in a scene (1: always).
    water_cm
        Climates to choose from: mean columns of water vapour.
    latitude_deg
        Absolute latitude of the scene.
    relief_m
        Standard deviation of the ground height.
    """

    liquid_cover: Range
    ice_cover: Range
    land: Mapping[str, float]
    steepness: Range = (8.0, 25.0)
    ice_steepness: Range = (0.8, 3.0)
    base_km: Range = (0.6, 3.6)
    ice_top_km: Range = (7.5, 13.5)
    water_cm: tuple[float, ...] = (TROPICAL, SUMMER, STANDARD, WINTER)
    latitude_deg: Range = (5.0, 50.0)
    relief_m: Range = (15.0, 90.0)


_LAND = {
    "vegetation": 1.0,
    "dry vegetation": 0.8,
    "soil": 1.0,
    "urban": 0.5,
    "sand": 0.3,
    "water": 0.6,
    "turbid water": 0.3,
}
_MIXED = dict.fromkeys(_LAND, 1.0) | {"sand": 0.6, "urban": 0.8, "turbid water": 0.6, "sun glint": 0.25, "snow": 0.25}
_NONE: Range = (0.0, 0.0)

PRESETS: dict[str, Preset] = {
    "clear": Preset(_NONE, _NONE, _LAND),
    "scattered": Preset((0.1, 0.3), _NONE, _LAND, base_km=(0.6, 2.0)),
    "broken": Preset((0.4, 0.7), _NONE, _LAND, base_km=(0.6, 3.0)),
    "overcast": Preset((0.97, 1.0), (0.0, 0.3), _LAND, steepness=(10.0, 25.0)),
    "cirrus": Preset(_NONE, (0.4, 0.8), _LAND),
    "snow": Preset((0.1, 0.4), (0.0, 0.2), {"snow": 1.0, "ice": 0.5, "soil": 0.7, "vegetation": 0.5, "water": 0.3},
                   water_cm=(WINTER, SUBARCTIC_WINTER), latitude_deg=(40.0, 51.0), relief_m=(50.0, 150.0)),
    "desert": Preset((0.0, 0.2), (0.0, 0.3), {"sand": 1.0, "soil": 1.0, "dry vegetation": 0.5, "urban": 0.2},
                     base_km=(1.5, 4.0), water_cm=(STANDARD, WINTER), latitude_deg=(15.0, 35.0)),
    "ocean": Preset((0.1, 0.5), (0.0, 0.2), {"water": 1.0, "turbid water": 0.4, "sun glint": 0.4},
                    base_km=(0.5, 1.5), relief_m=(0.0, 0.0)),
    "mixed": Preset((0.2, 0.45), (0.0, 0.25), _MIXED, base_km=(0.4, 2.4)),
}  # fmt: skip


def preset(name: str) -> Preset:
    """The preset of that name. Raises `UsageError` with the names there are."""
    try:
        return PRESETS[name]
    except KeyError:
        raise UsageError(f"no preset {name!r}; choose one of {', '.join(PRESETS)}") from None
