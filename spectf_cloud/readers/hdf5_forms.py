"""Which kinds of HDF5 file are read, and what others are called. A new instrument in netCDF begins with a `Form`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import h5py

from spectf_cloud.errors import InputError
from spectf_cloud.readers.dimensions import BANDS, CUBE, LINES, SAMPLES
from spectf_cloud.readers.hdf5_storage import find_dataset, holds


@dataclass(frozen=True)
class Form:
    """Where files of one kind keep what a scene is made of.

    sensor
        What to call the sensor of radiance; empty for observation geometry.
    cube, usual
        The variable, and the order of its dimensions where these have no names.
    wavelengths, fwhm, names
        Centres and widths of the bands of radiance; names of the bands of geometry.
    place, glt
        Longitude, latitude and elevation; sample and line of the look-up table.
    """

    sensor: str
    cube: str
    usual: tuple[str, ...] = CUBE
    wavelengths: str = "sensor_band_parameters/wavelengths"
    fwhm: str = "sensor_band_parameters/fwhm"
    names: str = "sensor_band_parameters/observation_bands"
    place: tuple[str, str, str] = ("location/lon", "location/lat", "location/elev")
    glt: tuple[str, str] = ("location/glt_x", "location/glt_y")

    @property
    def bands(self) -> str:
        """The variable that says which bands there are."""
        return self.wavelengths if self.sensor else self.names


_ROOT_PLACE, _ROOT_GLT = ("lon", "lat", "elev"), ("glt_x", "glt_y")
_FORMS = (
    Form("EMIT", "radiance"),
    Form("", "obs"),
    # All groups in one, as xarray users write it.
    Form("EMIT", "radiance", wavelengths="wavelengths", fwhm="fwhm", place=_ROOT_PLACE, glt=_ROOT_GLT),
    Form("", "obs", names="observation_bands", place=_ROOT_PLACE, glt=_ROOT_GLT),
    # AVIRIS-3 and -5.
    Form(
        "AVIRIS",
        "radiance/radiance",
        usual=(BANDS, LINES, SAMPLES),
        wavelengths="radiance/wavelength",
        fwhm="radiance/fwhm",
        place=_ROOT_PLACE,
        glt=_ROOT_GLT,
    ),
)

# What else such files may be, by what is in them; the first that fits.
_OTHERS = (
    ("reflectance/reflectance", "surface reflectance of AVIRIS"),
    ("reflectance", "surface reflectance, such as EMIT L2A"),
    ("mask", "a mask, such as EMIT L2A"),
    ("observation_parameters", "observation geometry of AVIRIS-3 or -5, of which only the ENVI form is read"),
    ("HDFEOS/SWATHS/PRS_L1_HCO", "a PRISMA L1 product, which is not read"),
    ("HDFEOS/SWATHS/PRS_L2D_HCO", "a PRISMA L2D product, which is not read"),
    ("HDFEOS/SWATHS/HYP", "a Tanager product, which is not read"),
    ("HDFEOS/GRIDS/HYP", "a Tanager product, which is not read"),
    ("HDFEOS", "an HDF-EOS5 product, which is not read"),
    ("observation_data", "a PACE OCI product, which is not read"),
    ("products/Lt", "a HYPSO product, which is not read"),
    ("spectra", "a file of labelled spectra, which is for training"),
)


def find_form(file: h5py.File, path: Path) -> tuple[Form, h5py.Dataset]:
    """The kind of a file and its cube. Raises `InputError` that says what the file is instead."""
    present = [form for form in _FORMS if holds(file, form.cube)]
    for form in [form for form in present if holds(file, form.bands)] or present:
        data = find_dataset(file, path, form.cube)
        if data is not None:
            return form, data
    inside = ", ".join(sorted(file)) or "nothing"
    what = next((f"{path} is {name}; it" for key, name in _OTHERS if holds(file, key)), str(path))
    raise InputError(
        f"{what} holds neither /radiance nor /obs (it has {inside[:120]}); "
        "radiance or observation geometry in the form of EMIT L1B is needed"
    )
