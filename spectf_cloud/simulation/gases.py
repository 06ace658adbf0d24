"""Gas transmittance between space and a height."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.simulation import tables

FloatArray = NDArray[np.float64]

#: Air mass, water (cm) and ozone (DU) for which the absorption table holds.
TABLE_AIR_MASS = 1.5
TABLE_WATER_CM = 1.42
TABLE_OZONE_DU = 344.0


@dataclass(frozen=True)
class Absorber:
    """How a gas departs from the table: amount, growth with amount, fall with height.

    Attributes
    ----------
    amount
        Amount today over the amount of the table (1976 CO2 and CH4 were lower); of water, per table column.
    exponent
        Optical depth grows as amount ** exponent: below 1, because band cores are saturated
        (random-band behaviour, Goody 1964; cf. the 0.45 of Bird and Riordan 1984).
    scale_height_km
        Effective scale height of the absorption, pressure broadening included.
    """

    amount: float
    exponent: float
    scale_height_km: float


ABSORBERS = {
    "h2o": Absorber(1.0, 0.55, 1.63),
    "o2": Absorber(1.0, 0.56, 4.2),
    "co2": Absorber(1.12, 0.62, 4.6),
    "ch4": Absorber(1.08, 0.58, 4.4),
}


def transmittance(height_km: float, air_mass: float, water_cm: float, ozone_du: float) -> FloatArray:
    """Transmittance of all gases above a height, on the table's 1 nm grid (n,).

    ``air_mass`` counts both ways (1/cos of the sun plus 1/cos of the view); ``water_cm`` is the whole
    column above sea level. exp(-(tau_o3 u_o3 + sum of tau_g u_g^a_g)) with u_g the amount above the height
    relative to the table; ozone lies above every cloud and is linear.
    """
    relative_mass = air_mass / TABLE_AIR_MASS
    depth = tables.gas_optical_depth("o3") * (ozone_du / TABLE_OZONE_DU) * relative_mass
    for gas, absorber in ABSORBERS.items():
        amount = water_cm / TABLE_WATER_CM if gas == "h2o" else absorber.amount
        amount *= np.exp(-height_km / absorber.scale_height_km) * relative_mass
        depth = depth + tables.gas_optical_depth(gas) * amount**absorber.exponent
    result: FloatArray = np.exp(-depth)
    return result
