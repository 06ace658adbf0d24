"""The lookup table from an orthorectified grid to the pixels of a swath."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

#: Spacing of the orthorectified grid, degrees, as in delivered granules.
SPACING_DEG = 0.000542232520256367
WGS84 = (
    'GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563,AUTHORITY["EPSG","7030"]],'
    'AUTHORITY["EPSG","6326"]],PRIMEM["Greenwich",0,AUTHORITY["EPSG","8901"]],UNIT["degree",0.0174532925199433,'
    'AUTHORITY["EPSG","9122"]],AXIS["Latitude",NORTH],AXIS["Longitude",EAST],AUTHORITY["EPSG","4326"]]'
)


def lookup_table(
    shape: tuple[int, int], origin: FloatArray, to_degrees: FloatArray, edge: NDArray[np.bool_]
) -> tuple[NDArray[np.int32], NDArray[np.int32], tuple[float, ...]]:
    """GLT of a swath whose pixel (line, sample) lies at origin + to_degrees @ (line, sample).

    Returns glt_x, glt_y and the geotransform. A cell that no pixel centre falls into takes the nearest
    pixel with a negative sign, as in delivered files.
    """
    lines, samples = shape
    corners = origin + np.array([(i, j) for i in (-0.5, lines - 0.5) for j in (-0.5, samples - 0.5)]) @ to_degrees.T
    west, north = corners[:, 0].min(), corners[:, 1].max()
    columns = int(np.ceil((corners[:, 0].max() - west) / SPACING_DEG))
    rows = int(np.ceil((north - corners[:, 1].min()) / SPACING_DEG))
    inverse = np.linalg.inv(to_degrees)
    lon = west + (np.arange(columns) + 0.5) * SPACING_DEG - origin[0]
    glt_x, glt_y = np.zeros((2, rows, columns), dtype=np.int32)
    for row in range(rows):
        lat = north - (row + 0.5) * SPACING_DEG - origin[1]
        where = inverse @ np.stack([lon, np.full(columns, lat)])
        line, sample = np.rint(where).astype(np.int32)
        inside = (line >= 0) & (line < lines) & (sample >= 0) & (sample < samples)
        inside[inside] = ~edge[line[inside], sample[inside]]
        own = to_degrees @ np.stack([line, sample])
        direct = (np.abs(own[0] - lon) <= SPACING_DEG / 2) & (np.abs(own[1] - lat) <= SPACING_DEG / 2)
        sign = np.where(direct, 1, -1)
        glt_x[row] = np.where(inside, sign * (sample + 1), 0)
        glt_y[row] = np.where(inside, sign * (line + 1), 0)
    return glt_x, glt_y, (float(west), SPACING_DEG, 0.0, float(north), 0.0, -SPACING_DEG)
