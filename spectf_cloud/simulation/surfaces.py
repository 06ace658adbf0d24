"""Reflectance of land, water and snow from a few parameters, in the bands of a sensor.

Shapes follow what makes the features: pigment and water absorption of leaves, iron, hydroxyl and moisture
of soils, absorption and backscattering of water, absorption of ice grains. They stand for landscapes, which
are darker than laboratory samples.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.simulation import tables

FloatArray = NDArray[np.float64]
Generator = np.random.Generator

#: Surface classes of the truth layer, numbered from 1.
CLASSES = (
    "vegetation",
    "dry vegetation",
    "soil",
    "sand",
    "urban",
    "water",
    "turbid water",
    "sun glint",
    "snow",
    "ice",
)
#: Of these, which are water, and which are snow; the others are land.
WATERS, SNOWS = ("water", "turbid water", "sun glint"), ("snow", "ice")


def _line(nm: FloatArray, centre: float, width: float) -> FloatArray:
    shape: FloatArray = np.exp(-0.5 * ((nm - centre) / width) ** 2)
    return shape


def vegetation(nm: FloatArray, chlorophyll: float, water_cm: float, plateau: float) -> FloatArray:
    """A green canopy: a bright scatterer seen through pigments, leaf water and dry matter (bands,).

    ``chlorophyll`` scales the pigment absorption (1 is a healthy crop), ``water_cm`` is the optical path in
    leaf water, ``plateau`` the near-infrared reflectance.
    """
    pigment = 2.1 * _line(nm, 430, 45) + 1.1 * _line(nm, 485, 25) + 0.75 * _line(nm, 620, 35)
    pigment += 1.6 * _line(nm, 672, 18) + 0.8 / (1 + np.exp((nm - 712) / 12))
    matter = 0.25 * _line(nm, 2100, 90) + 0.3 * _line(nm, 2300, 70) + 0.1 * _line(nm, 1730, 40)
    water = tables.absorption_per_cm("liquid", nm) * water_cm
    return 0.012 + plateau * np.exp(-chlorophyll * pigment - water - matter)


def dry_vegetation(nm: FloatArray, brightness: float, water_cm: float) -> FloatArray:
    """Straw, dry grass, litter: a rising continuum with lignin and cellulose bands (bands,)."""
    continuum = brightness * (1 - np.exp(-(nm - 330) / 380)) ** 1.4
    matter = 0.22 * _line(nm, 2100, 55) + 0.25 * _line(nm, 2310, 60) + 0.1 * _line(nm, 1730, 35)
    matter += 0.12 * _line(nm, 1470, 60) + 0.35 * _line(nm, 1935, 45) + 0.15 * _line(nm, 672, 20)
    water = tables.absorption_per_cm("liquid", nm) * water_cm
    return 0.01 + continuum * np.exp(-matter - water)


def soil(nm: FloatArray, brightness: float, iron: float, clay: float, moisture_cm: float) -> FloatArray:
    """Soil or sand: a continuum cut by iron oxides, hydroxyl, carbonate and pore water (bands,).

    ``brightness`` is the reflectance reached in the near infrared, ``iron`` and ``clay`` scale their bands
    (0–1), ``moisture_cm`` is the optical path in water.
    """
    continuum = brightness * (1 - np.exp(-(nm - 300) / (320 + 250 * iron))) ** (1.0 + iron)
    bands = iron * (0.45 * _line(nm, 490, 55) + 0.18 * _line(nm, 880, 90) + 0.6 * _line(nm, 380, 60))
    bands += clay * (0.12 * _line(nm, 2205, 22) + 0.06 * _line(nm, 2340, 35) + 0.08 * _line(nm, 1414, 18))
    bands += 0.05 + 0.15 * _line(nm, 1920, 40) + 0.2 * _line(nm, 2500, 150)
    return continuum * np.exp(-bands - tables.absorption_per_cm("liquid", nm) * moisture_cm)


def urban(nm: FloatArray, concrete: float, roof: float, green: float) -> FloatArray:
    """Built-up land: asphalt with shares of concrete, tile roofs and gardens (bands,)."""
    asphalt = 0.07 + 0.06 * (nm - 400) / 2100
    cement = 0.3 * (1 - np.exp(-(nm - 250) / 250)) * np.exp(-0.12 * _line(nm, 1935, 50) - 0.1 * _line(nm, 2330, 60))
    tiles = soil(nm, 0.35, 1.0, 0.3, 0.0)
    garden = vegetation(nm, 0.9, 0.06, 0.4)
    return (1 - concrete - roof - green) * asphalt + concrete * cement + roof * tiles + green * garden


def water(nm: FloatArray, particles: float, dissolved: float) -> FloatArray:
    """Deep water: reflectance from backscattering over absorption (Lee et al. 2002), plus a little sky light (bands,).

    ``particles`` is the particle backscattering at 550 nm, m-1 (0.001 clear ocean, 1 muddy river);
    ``dissolved`` the absorption of dissolved matter at 440 nm, m-1.
    """
    backscatter = 0.0009 * (550 / nm) ** 4.3 + particles * (550 / nm) ** 0.7
    absorption = 100 * tables.absorption_per_cm("liquid", nm) + dissolved * np.exp(-0.016 * (nm - 440))
    ratio = backscatter / (backscatter + absorption)
    # Below the surface first, then through it both ways; pi turns remote-sensing reflectance into reflectance.
    below = (0.089 + 0.125 * ratio) * ratio
    return np.pi * 0.52 * below / (1 - 1.7 * below) + 0.004


def sun_glint(nm: FloatArray, strength: float) -> FloatArray:
    """Clear water with sunlight mirrored at the waves, by the Fresnel reflectance at normal incidence (bands,)."""
    n, k = tables.refractive_index("liquid", nm)
    fresnel = ((n - 1) ** 2 + k**2) / ((n + 1) ** 2 + k**2)
    return water(nm, 0.002, 0.05) + strength * fresnel / 0.02


def snow(nm: FloatArray, grain_mm: float, soot: float) -> FloatArray:
    """Snow: exp(-sqrt(a L)), a the absorption of ice, L about 13 grain diameters (Kokhanovsky and Zege 2004).

    ``grain_mm`` is the optical grain diameter; ``soot`` adds grey absorption, cm-1.
    """
    absorption = tables.absorption_per_cm("ice", nm) + soot * (nm / 500) ** -1.0
    reflectance: FloatArray = 0.985 * np.exp(-np.sqrt(absorption * 13 * grain_mm / 10)) + 0.003
    return reflectance


def glacier_ice(nm: FloatArray, grain_mm: float, dirt: float) -> FloatArray:
    """Bare ice: coarse snow with a grey share of dirt and a surface reflection (bands,)."""
    return (1 - dirt) * 0.8 * snow(nm, grain_mm, 0.01) + dirt * 0.1 + 0.02


def _green(nm: FloatArray, rng: Generator) -> FloatArray:
    leaves = vegetation(nm, rng.uniform(0.6, 1.2), rng.uniform(0.03, 0.09), rng.uniform(0.3, 0.55))
    ground = soil(nm, rng.uniform(0.15, 0.35), rng.uniform(0.2, 0.8), rng.uniform(0, 1), rng.uniform(0, 0.02))
    cover = rng.beta(4.0, 1.2)
    return (cover * leaves + (1 - cover) * ground) * rng.uniform(0.6, 0.95)


def _dry(nm: FloatArray, rng: Generator) -> FloatArray:
    straw = dry_vegetation(nm, rng.uniform(0.25, 0.5), rng.uniform(0.0, 0.01))
    leaves = vegetation(nm, rng.uniform(0.4, 0.9), rng.uniform(0.02, 0.05), rng.uniform(0.25, 0.4))
    ground = soil(nm, rng.uniform(0.2, 0.4), rng.uniform(0.2, 0.8), rng.uniform(0, 1), rng.uniform(0, 0.01))
    return (np.array([straw, leaves, ground]).T @ rng.dirichlet([3.0, 0.7, 2.0])) * rng.uniform(0.7, 0.95)


def _soil(nm: FloatArray, rng: Generator) -> FloatArray:
    return soil(nm, rng.uniform(0.15, 0.4), rng.uniform(0.2, 1.0), rng.uniform(0, 1), rng.uniform(0.0, 0.02))


def _sand(nm: FloatArray, rng: Generator) -> FloatArray:
    return soil(nm, rng.uniform(0.4, 0.58), rng.uniform(0.05, 0.5), rng.uniform(0, 0.7), rng.uniform(0.0, 0.003))


def _urban(nm: FloatArray, rng: Generator) -> FloatArray:
    concrete, roof, green, _ = rng.dirichlet([2.0, 1.0, 1.5, 2.5])
    return urban(nm, concrete, roof, green)


#: How each class draws one spectrum.
_DRAW: dict[str, Callable[[FloatArray, Generator], FloatArray]] = {
    "vegetation": _green,
    "dry vegetation": _dry,
    "soil": _soil,
    "sand": _sand,
    "urban": _urban,
    "water": lambda nm, rng: water(nm, 10 ** rng.uniform(-3.2, -2.3), 10 ** rng.uniform(-2, -0.7)),
    "turbid water": lambda nm, rng: water(nm, 10 ** rng.uniform(-1.5, -0.4), 10 ** rng.uniform(-0.7, 0.5)),
    "sun glint": lambda nm, rng: sun_glint(nm, rng.uniform(0.02, 0.2)),
    "snow": lambda nm, rng: snow(nm, 10 ** rng.uniform(-0.6, 0.2), 10 ** rng.uniform(-4, -2)),
    "ice": lambda nm, rng: glacier_ice(nm, 10 ** rng.uniform(0.3, 1.2), rng.uniform(0.0, 0.3)),
}


def draw(name: str, wavelength_nm: FloatArray, rng: Generator) -> FloatArray:
    """One random spectrum (bands,) of one of `CLASSES`, reflectance within 0–1."""
    return np.clip(_DRAW[name](wavelength_nm, rng), 0.001, 1.0)
