"""The scenes to train, validate and test with: whole scenes, each on one side only."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from spectf_cloud.data.spectra import Spectra
from spectf_cloud.data.spectra_check import doubts_of_labels, settle
from spectf_cloud.errors import InputError, UsageError
from spectf_cloud.readers.acquisition import acquired

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Scenes:
    """Names of the scenes on each side."""

    train: list[str]
    validation: list[str]
    test: list[str]


def split_scenes(
    spectra: Spectra,
    train_csv: Path,
    test_csv: Path,
    val_fraction: float,
    seed: int,
    min_gap_s: float = 0.0,
    *,
    trust: bool = False,
) -> Scenes:
    """Split the listed scenes; ``val_fraction`` of the training list validates.

    Training scenes with a single kind of label are refused, unless ``trust``; the other sides only give a warning.
    Raises `InputError`.
    """
    listed, test = read_fids(train_csv, spectra.fids), read_fids(test_csv, spectra.fids)
    check_leakage(listed, test, f"{train_csv} and {test_csv}", min_gap_s)
    train, validation = draw_scenes(listed, val_fraction, seed)
    sides = ("training", train, train_csv), ("validation", validation, train_csv), ("test", test, test_csv)
    for side, fids, path in sides:
        labels = spectra.labels[spectra.rows_of(fids)]
        settle(doubts_of_labels(f"{path}: the {side} scenes", labels, side == "training"), trust=trust)
    return Scenes(train, validation, test)


def read_fids(path: Path, known: Sequence[str]) -> list[str]:
    """Read the scenes that a CSV names, one a line, and keep those that the data set has.

    Scenes that it does not have are counted in a warning. Raises `InputError` where it has none of them.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a list of scenes ({error})") from error
    listed = [line.split(",")[0].strip().strip("\"'") for line in text.splitlines()]
    listed = list(dict.fromkeys(fid for fid in listed if fid))
    found = [fid for fid in listed if fid in set(known)]
    if not found:
        example = f", such as {known[0]}" if known else ""
        raise InputError(f"{path}: none of its {len(listed)} scenes is in the data set; it has {len(known)}{example}")
    if len(found) < len(listed):
        logger.warning("%s: %d of %d scenes are not in the data set", path, len(listed) - len(found), len(listed))
    return found


def draw_scenes(fids: Sequence[str], fraction: float, seed: int) -> tuple[list[str], list[str]]:
    """Draw about ``fraction`` of the scenes at random: (the rest, the drawn), at least one on each side unless it is 0.

    Raises `UsageError` where there are too few scenes.

    >>> draw_scenes(["a", "b", "c"], 0.0, seed=0)
    (['a', 'b', 'c'], [])
    """
    if not 0.0 <= fraction < 1.0:
        raise UsageError(f"the fraction of scenes must be in [0, 1), not {fraction:g}")
    if fraction == 0.0:
        return sorted(fids), []
    if len(fids) < 2:
        raise UsageError(f"{len(fids)} scene cannot be split; use --val-fraction 0 or more scenes")
    count = min(max(round(fraction * len(fids)), 1), len(fids) - 1)
    order = np.random.default_rng([seed, 17]).permutation(len(fids))
    ranked = [sorted(fids)[number] for number in order]
    return sorted(ranked[count:]), sorted(ranked[:count])


def check_leakage(first: Sequence[str], second: Sequence[str], names: str, min_gap_s: float = 0.0) -> None:
    """Refuse scenes that are on both sides, and with ``min_gap_s`` also neighbours along one orbit.

    Two scenes of one sensor taken within ``min_gap_s`` seconds show the same clouds and ground. Raises `InputError`.
    """
    both = sorted(set(first) & set(second))
    if both:
        raise InputError(f"{names}: scene {both[0]} is in both ({len(both)} such scenes); a scene may be in one only")
    if min_gap_s <= 0:
        return
    gap = timedelta(seconds=min_gap_s)
    marked = sorted([(_time(fid), 0, fid) for fid in first] + [(_time(fid), 1, fid) for fid in second])
    last: dict[int, tuple[datetime, str]] = {}
    for time, side, fid in marked:
        before = last.get(1 - side)
        if before and time - before[0] < gap:
            seconds = (time - before[0]).total_seconds()
            raise InputError(
                f"{names}: {before[1]} and {fid} are {seconds:g} s apart along one orbit, less than {min_gap_s:g} s; "
                "put neighbours on the same side"
            )
        last[side] = (time, fid)


def _time(fid: str) -> datetime:
    seen = acquired(fid)
    if seen is None or seen.time is None:
        raise InputError(f"scene {fid} has no time in its name, so its neighbours are not known; use --min-gap 0")
    return seen.time
