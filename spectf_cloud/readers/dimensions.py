"""Which dimension of an HDF5 variable is which: by its name, by its length where that decides, else by its place."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import permutations
from pathlib import Path

import h5py

from spectf_cloud.errors import InputError

LINES, SAMPLES, BANDS = "lines", "samples", "bands"
CUBE, GRID = (LINES, SAMPLES, BANDS), (LINES, SAMPLES)

# Letters only, without "number of", "n", "ortho", "image", "swath" and "dim" around them.
_NAMES = {
    LINES: "line row y downtrack alongtrack track scan scanline frame height northing lat latitude",
    SAMPLES: "sample pixel x column col crosstrack acrosstrack xtrack groundpixel width easting lon longitude",
    BANDS: "band wavelength channel spectral spectralband spectralchannel wl wvl lambda z obsband observationband",
}
_MEANING = {name: meaning for meaning, names in _NAMES.items() for name in names.split()}


def axis_names(data: h5py.Dataset) -> tuple[str, ...]:
    """Names of a variable's dimensions: of their scales, else their labels; empty where they have none."""
    if data.ndim == 1 and data.is_scale:  # a coordinate variable is its own dimension
        return (_last(data.name),)
    names = []
    for dimension in data.dims:
        try:
            names.append(_last(dimension[0].name) if len(dimension) else dimension.label)
        # A variable copied by HDF5's own tools points to dimensions that stayed behind.
        except (RuntimeError, ValueError, KeyError, UnicodeDecodeError):
            names.append("")
    return tuple(names)


def described(data: h5py.Dataset) -> str:
    """A variable's dimensions for a message: ``downtrack = 1280, crosstrack = 1242``."""
    names = axis_names(data) if data.ndim else ()
    return ", ".join(f"{name or 'unnamed'} = {size}" for name, size in zip(names, data.shape, strict=True))


def arrange(
    data: h5py.Dataset,
    path: Path,
    wanted: tuple[str, ...],
    usual: tuple[str, ...] | None = None,
    known: Mapping[str, str] | None = None,
    lengths: Mapping[str, int] | None = None,
) -> tuple[int, ...]:
    """Where in a variable the ``wanted`` axes stand: `transpose` with these brings them into that order.

    ``usual`` is the order to be taken where nothing speaks against it, ``known`` the meaning of names in this very
    file, ``lengths`` how long some of the axes must be. Raises `InputError` naming the dimensions.
    """
    names, usual, lengths = axis_names(data), usual or wanted, lengths or {}
    told = [meaning_of(name, wanted, known) for name in names]
    possible = [
        order
        for order in permutations(wanted)
        if all(meaning in (None, here) for meaning, here in zip(told, order, strict=True))
    ]
    # Where no order has these lengths, whoever knows what the lengths are of says so better.
    fitting = [
        order
        for order in possible
        if all(lengths.get(meaning, size) == size for meaning, size in zip(order, data.shape, strict=True))
    ] or possible
    if usual not in fitting and len(fitting) > 1:  # lines come before samples where nobody says otherwise
        fitting = [order for order in fitting if order.index(LINES) < order.index(SAMPLES)]
    if usual not in fitting and len(fitting) != 1:
        raise InputError(
            f"{path}: which dimensions of {data.name} ({described(data)}) are {', '.join(wanted)} cannot be told; "
            "name each of them so"
        )
    order = usual if usual in fitting else fitting[0]
    return tuple(order.index(meaning) for meaning in wanted)


def meaning_of(name: str, wanted: Sequence[str], known: Mapping[str, str] | None = None) -> str | None:
    """Tell which of the ``wanted`` axes a dimension is by its name; None where the name says none of them."""
    if name and known and name in known:
        return known[name]
    letters = re.sub("[^a-z]", "", name.lower())
    for affix in ("numberof", "numof", "num", "ortho", "image", "swath"):
        letters = letters.removeprefix(affix)
    letters = letters.removesuffix("dimension").removesuffix("dim").removesuffix("s")
    meaning = _MEANING.get(letters) or _MEANING.get(letters.removeprefix("n"))
    return meaning if meaning in wanted else None


def _last(name: str | None) -> str:
    return (name or "").rpartition("/")[2]
