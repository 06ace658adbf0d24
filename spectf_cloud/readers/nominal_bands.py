"""Bands of sensors whose products do not say where they are: centre and FWHM, nm, by name.

Panchromatic and thermal bands are left out: they are of another pixel size, or measure temperature.
"""

from __future__ import annotations

from collections.abc import Mapping

Bands = Mapping[str, tuple[float, float]]

# USGS, MSS band designations.
_MSS = {"B4": (550.0, 100.0), "B5": (650.0, 100.0), "B6": (750.0, 100.0), "B7": (950.0, 300.0)}
_MSS_FROM_1 = dict(zip(("B1", "B2", "B3", "B4"), _MSS.values(), strict=True))
# Chander, Markham and Helder 2009, doi:10.1016/j.rse.2009.01.007.
_TM = {
    "B1": (485.0, 66.0),
    "B2": (569.0, 82.0),
    "B3": (660.0, 67.0),
    "B4": (840.0, 128.0),
    "B5": (1676.0, 217.0),
    "B7": (2223.0, 252.0),
}
_ETM = {
    "B1": (483.0, 67.0),
    "B2": (560.0, 78.0),
    "B3": (662.0, 61.0),
    "B4": (835.0, 127.0),
    "B5": (1648.0, 198.0),
    "B7": (2206.0, 270.0),
}
# Barsi et al. 2014, doi:10.3390/rs61010232.
_OLI = {
    "B1": (442.96, 15.98),
    "B2": (482.04, 60.04),
    "B3": (561.41, 57.33),
    "B4": (654.59, 37.47),
    "B5": (864.67, 28.25),
    "B6": (1608.86, 84.72),
    "B7": (2200.73, 186.66),
    "B9": (1373.43, 20.39),
}
# ESA, Spectral_Information of the L1C metadata of Sentinel-2A; widths as SentiWiki has them.
_MSI = {
    "B01": (442.7, 20.0),
    "B02": (492.7, 65.0),
    "B03": (559.8, 35.0),
    "B04": (664.6, 30.0),
    "B05": (704.1, 14.0),
    "B06": (740.5, 14.0),
    "B07": (782.8, 19.0),
    "B08": (832.8, 105.0),
    "B8A": (864.7, 21.0),
    "B09": (945.1, 19.0),
    "B10": (1373.5, 29.0),
    "B11": (1613.7, 90.0),
    "B12": (2202.4, 174.0),
}
# Planet, PlanetScope product specifications, band edges.
_DOVE = {"blue": (485.0, 60.0), "green": (545.0, 90.0), "red": (630.0, 80.0), "nir": (820.0, 80.0)}
_DOVE_R = {"blue": (490.5, 53.0), "green": (566.0, 38.0), "red": (666.0, 32.0), "nir": (867.0, 42.0)}
_SUPERDOVE = {
    "coastal_blue": (441.5, 21.0),
    "blue": (490.0, 50.0),
    "green_i": (531.0, 36.0),
    "green": (565.0, 36.0),
    "yellow": (610.0, 20.0),
    "red": (665.0, 30.0),
    "rededge": (705.0, 16.0),
    "nir": (865.0, 40.0),
}

#: By sensor, in the order of their numbers.
NOMINAL_BANDS: Mapping[str, Bands] = {
    "LANDSAT1": _MSS,
    "LANDSAT2": _MSS,
    "LANDSAT3": _MSS,
    "LANDSAT4_MSS": _MSS_FROM_1,
    "LANDSAT5_MSS": _MSS_FROM_1,
    "LANDSAT4": _TM,
    "LANDSAT5": _TM,
    "LANDSAT7": _ETM,
    "LANDSAT8": _OLI,
    "LANDSAT9": _OLI,
    "HLS_L30": {f"B0{name[1:]}": nm for name, nm in _OLI.items()},
    "HLS_S30": _MSI,
    "PLANETSCOPE4": _DOVE,
    "PLANETSCOPE4_DOVE_R": _DOVE_R,
    "PLANETSCOPE4_SUPERDOVE": {name: _SUPERDOVE[name] for name in _DOVE},
    "PLANETSCOPE8": _SUPERDOVE,
}
