"""Small products of one TIFF a band: Landsat, HLS and PlanetScope, written as their agencies lay them out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import from_origin

LINES, SAMPLES = 32, 48
#: South of the equator in a northern zone, as USGS and HLS have it.
PLACE = from_origin(300_000, -1_600_020, 30, 30)
CRS = "EPSG:32619"

LANDSAT = "LC08_L1TP_001070_20230102_20230103_02_T1"
ELEVATION_DEG = 37.25

HLS_L30 = "HLS.L30.T19LDD.2022165T144027.v2.0"
HLS_S30 = "HLS.S30.T19LDD.2022166T144741.v2.0"
L30_BANDS = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B09")
S30_BANDS = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")

PLANET = "20210831_172754_31_101c_3B_AnalyticMS"


def write_band(path, values, *, place=PLACE, crs=CRS, tags=None, scale=None, **options):
    """Write (lines, samples) or (bands, lines, samples) as a tiled TIFF."""
    path.unlink(missing_ok=True)  # GDAL would take the MTL file beside it for a part, and delete it too
    values = values if values.ndim == 3 else values[None]
    bands, lines, samples = values.shape
    options = {"tiled": True, "blockxsize": 16, "blockysize": 16, "compress": "deflate"} | options
    with rasterio.open(
        path, "w", "GTiff", samples, lines, bands, dtype=values.dtype, crs=crs, transform=place, **options
    ) as raster:
        raster.write(values)
        raster.update_tags(**(tags or {}))
        if scale is not None:
            raster.scales = (scale,) * bands
    return path


def counts(seed=0, dtype="uint16", low=1, high=40_000, shape=(LINES, SAMPLES)):
    """Random numbers of a band; its first pixel is 0."""
    values = np.random.default_rng(seed).integers(low, high, shape, dtype=dtype)
    values[..., 0, 0] = 0
    return values


def landsat_groups(bands=("1", "2", "3", "4", "5", "6", "7", "9"), product=LANDSAT, level="L1TP", **image):
    """Entries of an MTL file by group; a factor of band n differs from all others."""
    factors = {f"REFLECTANCE_MULT_BAND_{n}": f"{(2 + int(n) / 100) * 1e-5:.4E}" for n in bands}
    offsets = {f"REFLECTANCE_ADD_BAND_{n}": f"{-0.1 - int(n) / 1000:.6f}" for n in bands}
    names = {f"FILE_NAME_BAND_{n}": f"{product}_B{n}.TIF" for n in bands}
    return {
        "PRODUCT_CONTENTS": {"LANDSAT_PRODUCT_ID": product, "PROCESSING_LEVEL": level, **names},
        "IMAGE_ATTRIBUTES": {
            "SPACECRAFT_ID": "LANDSAT_8",
            "SENSOR_ID": "OLI_TIRS",
            "DATE_ACQUIRED": "2023-01-02",
            "SCENE_CENTER_TIME": "15:13:51.8610990Z",
            "SUN_AZIMUTH": "-100.5",
            "SUN_ELEVATION": str(ELEVATION_DEG),
            "EARTH_SUN_DISTANCE": "0.9833",
            **image,
        },
        "PROJECTION_ATTRIBUTES": {"GRID_CELL_SIZE_REFLECTIVE": "30.00"},
        "LEVEL1_PROCESSING_RECORD": {"PROCESSING_LEVEL": "L1TP"},
        "LEVEL1_RADIOMETRIC_RESCALING": {**factors, **offsets},
    }


def mtl_text(groups, form="txt", root="LANDSAT_METADATA_FILE"):
    """The same entries as an MTL file in text, JSON or XML."""
    if form == "json":
        return json.dumps({root: groups})
    if form == "xml":
        inner = "".join(
            f"<{group}>{''.join(f'<{key}>{value}</{key}>' for key, value in entries.items())}</{group}>\n"
            for group, entries in groups.items()
        )
        return f'<?xml version="1.0" encoding="UTF-8"?>\n<{root}>\n{inner}</{root}>\n'
    rows = [f"GROUP = {root}"]
    for group, entries in groups.items():
        rows.append(f"  GROUP = {group}")
        for key, value in entries.items():
            quoted = value if value.replace(".", "").replace("-", "").isdigit() else f'"{value}"'
            rows.append(f"    {key} = {quoted}")
        rows.append(f"  END_GROUP = {group}")
    return "\n".join([*rows, f"END_GROUP = {root}", "END", ""])


def write_landsat(folder: Path, groups=None, form="txt", dtype="uint16", product=LANDSAT, root="LANDSAT_METADATA_FILE"):
    """Write every band that an MTL file names, and the file; returns the numbers by band."""
    folder.mkdir(parents=True, exist_ok=True)
    groups = landsat_groups(product=product) if groups is None else groups
    held = {}
    for entries in groups.values():
        for key, name in entries.items():
            number = key.removeprefix("FILE_NAME_BAND_")
            if number != key and number.isdigit():
                held[number] = counts(int(number), dtype, high=255 if dtype == "uint8" else 40_000)
                write_band(folder / name, held[number])
    (folder / f"{product}_MTL.{form}").write_text(mtl_text(groups, form, root))
    return held


def write_hls(folder: Path, granule=HLS_S30, bands=S30_BANDS, tags=None, **options):
    """Write an HLS granule's bands with the tags of real ones; returns their numbers by name."""
    folder.mkdir(parents=True, exist_ok=True)
    tags = {
        "SENSING_TIME": "2022-06-15T14:57:57.208242Z",
        "MEAN_SUN_ZENITH_ANGLE": "45.5",
        "MEAN_SUN_AZIMUTH_ANGLE": "36.25",
        "NBAR_SOLAR_ZENITH": "21.5",
        "scale_factor": "0.0001",
        "add_offset": "0.0",
        "_FillValue": "-9999",
    } | (tags or {})
    held = {}
    for seed, band in enumerate(bands):
        values = counts(seed, "int16", -200, 16_000)
        values[1, 1] = -9999
        held[band] = values
        write_band(folder / f"{granule}.{band}.tif", values, tags=tags, nodata=-9999, **options)
    return held


def planet_xml(coefficients, scale="0.01", instrument="PS2", elevation="65.12005", order=None, platform="PlanetScope"):
    """The XML of a PlanetScope scene with a coefficient a band, its blocks in any order."""
    numbers = list(range(1, len(coefficients) + 1)) if order is None else order
    blocks = "".join(
        f"<ps:bandSpecificMetadata><ps:bandNumber>{n}</ps:bandNumber>"
        f"<ps:radiometricScaleFactor>{scale}</ps:radiometricScaleFactor>"
        f"<ps:reflectanceCoefficient>{coefficients[n - 1]}</ps:reflectanceCoefficient></ps:bandSpecificMetadata>"
        for n in numbers
    )
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<ps:EarthObservation xmlns:opt="http://earth.esa.int/opt" xmlns:eop="http://earth.esa.int/eop"
 xmlns:ps="http://schemas.planet.com/ps/v1/planet_product_metadata_geocorrected_level">
<eop:Platform><eop:shortName>{platform}</eop:shortName><eop:serialIdentifier>101c</eop:serialIdentifier></eop:Platform>
<eop:Instrument><eop:shortName>{instrument}</eop:shortName></eop:Instrument>
<opt:illuminationAzimuthAngle uom="deg">1.454200e+02</opt:illuminationAzimuthAngle>
<opt:illuminationElevationAngle uom="deg">{elevation}</opt:illuminationElevationAngle>
<ps:acquisitionDateTime>2017-08-31T17:27:54+00:00</ps:acquisitionDateTime>
<ps:rowGsd>3.0</ps:rowGsd>{blocks}</ps:EarthObservation>
"""
