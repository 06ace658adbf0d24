"""The one table of classes, and the coarser schemes they are grouped into.

Networks give six probabilities, one a class, that sum to 1; no data is never predicted. A scheme groups the classes:
its probabilities are sums over each group, taken before anything is decided, so that land, water and snow win together
where none of them would alone.

>>> import numpy as np
>>> probability, names = reduce(np.array([0.25, 0.2, 0.0, 0.1, 0.35, 0.1]), "cloudsen12")
>>> names[probability.argmax()]
'clear'
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spectf_cloud.errors import ModelError, UsageError

FloatArray = NDArray[np.floating]
Classes = frozenset[int]

#: In rasters: no data, or a truth that is neither one class nor the other.
NODATA = 255
#: No data as rasters of others write it; only ever read.
FOREIGN_NODATA = 6


@dataclass(frozen=True)
class SkyClass:
    """A class: its value in rasters, what it is called, and its colour (red, green, blue)."""

    value: int
    name: str
    colour: tuple[int, int, int]


#: By value. The colours are those of Okabe and Ito (2008), which colour-blind readers can tell apart.
CLASSES = (
    SkyClass(0, "land", (0, 158, 115)),
    SkyClass(1, "water", (0, 114, 178)),
    SkyClass(2, "snow", (86, 180, 233)),
    SkyClass(3, "thin cloud", (240, 228, 66)),
    SkyClass(4, "thick cloud", (213, 94, 0)),
    SkyClass(5, "cloud shadow", (0, 0, 0)),
)
LAND, WATER, SNOW, THIN_CLOUD, THICK_CLOUD, CLOUD_SHADOW = (each.value for each in CLASSES)


@dataclass(frozen=True)
class Group:
    """Classes that count as one: its name, and their values.

    A label may be such a set, too: a cloud that may be thin or thick, or land where snow was not labelled.
    """

    name: str
    members: Classes


def _groups(**members: tuple[int, ...]) -> tuple[Group, ...]:
    return tuple(Group(name.replace("_", " "), frozenset(values)) for name, values in members.items())


#: By name, finest first. Each holds every class once.
SCHEMES: Mapping[str, tuple[Group, ...]] = {
    "all": tuple(Group(each.name, frozenset({each.value})) for each in CLASSES),
    "surface": _groups(land=(0,), water=(1,), snow=(2,), cloud=(3, 4), cloud_shadow=(5,)),
    "cloudsen12": _groups(clear=(0, 1, 2), thick_cloud=(4,), thin_cloud=(3,), cloud_shadow=(5,)),
    "cloud": _groups(clear=(0, 1, 2, 5), cloud=(3, 4)),
    "valid": _groups(valid=(0, 1, 2), invalid=(3, 4, 5)),
}


def scheme(name: str) -> tuple[Group, ...]:
    """Return the groups of a scheme. Raises `UsageError` with the names there are."""
    if name not in SCHEMES:
        raise UsageError(f"no scheme {name!r}; choose one of {', '.join(SCHEMES)}")
    return SCHEMES[name]


def membership(groups: Iterable[Group]) -> NDArray[np.bool_]:
    """Return (groups, classes) bool: which classes each group holds; times a probability it sums over groups."""
    return np.array([[each.value in group.members for each in CLASSES] for group in groups])


def reduce(probability: ArrayLike, name: str) -> tuple[FloatArray, tuple[str, ...]]:
    """Sum the probabilities of classes over the groups of a scheme.

    Parameters
    ----------
    probability
        (classes, …), 0–1; NaN where there is no data.
    name
        One of `SCHEMES`.

    Returns
    -------
    (groups, …) of the same dtype, and the names of the groups.

    Raises
    ------
    UsageError
        There is no such scheme.
    ModelError
        Not one probability for each class, or numbers below 0.
    """
    groups, values = scheme(name), np.asarray(probability)
    if values.ndim < 1 or len(values) != len(CLASSES):
        raise ModelError(f"probabilities of {values.shape}; the first axis must be the {len(CLASSES)} classes")
    if (values < 0).any():
        raise ModelError("probabilities below 0; write NaN where there is no data")
    sums = np.stack([values[sorted(group.members)].sum(axis=0) for group in groups])
    return sums, tuple(group.name for group in groups)


def regroup(raster: NDArray[np.integer], groups: Iterable[Group]) -> NDArray[np.uint8]:
    """Turn classes (any shape) into positions of the groups that hold them, uint8.

    255 where there is no data, also as others write it, and where no group holds the class.
    """
    table = np.full(256, NODATA, np.uint8)
    for position, group in enumerate(groups):
        table[sorted(group.members)] = position
    positions: NDArray[np.uint8] = table[raster]
    return positions


def finest(*labellings: Iterable[Group]) -> tuple[Group, ...]:
    """Return the finest groups of which every label of every labelling is a part.

    They are what two sides can be compared in: labels that overlap count as one, and classes that no side labels
    are left out.
    """
    merged: list[Classes] = []
    for label in (group.members for groups in labellings for group in groups):
        apart = [members for members in merged if not members & label]
        merged = [*apart, label.union(*(members for members in merged if members & label))]
    return tuple(Group(_name(members), members) for members in sorted(merged, key=min))


def _name(members: Classes) -> str:
    """Return what a scheme calls these classes, else all their names."""
    known = (group.name for groups in SCHEMES.values() for group in groups if group.members == members)
    return next(known, " or ".join(CLASSES[value].name for value in sorted(members)))
