"""Write `irr_astm_g173.npy`, the solar irradiance called astm-g173.

Source: the extraterrestrial column of ASTM G173-03 (Gueymard 2004 solar constant 1366.1 W m-2) as shipped
by pvlib. It is tabulated every 0.5 nm below 400 nm, 1 nm to 1700 nm and 5 nm beyond; a band average
weighs samples equally, so the table is interpolated linearly to an even 0.5 nm grid first.

    python evaluation/irradiance/make_irradiance.py irr_astm_g173.npy
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FIRST_NM, LAST_NM, STEP_NM = 300.0, 2600.0, 0.5
UW_CM2_PER_W_M2 = 100.0


def make_irradiance() -> NDArray[np.float64]:
    """(4601, 2) float64: wavelength nm, irradiance uW cm-2 nm-1 at 1 AU."""
    from pvlib.spectrum import get_reference_spectra

    table = get_reference_spectra(standard="ASTM G173-03")
    wavelength_nm = np.arange(FIRST_NM, LAST_NM + STEP_NM / 2, STEP_NM)
    per_nm = np.interp(wavelength_nm, table.index.to_numpy(float), table["extraterrestrial"].to_numpy(float))
    return np.column_stack([wavelength_nm, per_nm * UW_CM2_PER_W_M2])


def main(path: str) -> None:
    target = Path(path)
    temporary = target.with_suffix(".tmp.npy")
    np.save(temporary, make_irradiance())
    temporary.replace(target)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "irr_astm_g173.npy")
