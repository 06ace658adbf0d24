"""Names of bands: what is spelled differently, and what says nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence


def plain(name: str) -> str:
    """A band's name without what is spelled differently: case, blanks, hyphens, punctuation.

    >>> plain("To-sun zenith (0 to 90 degrees)")
    'tosunzenith0to90degrees'
    """
    return "".join(character for character in name.casefold() if character.isalnum())


def telling(names: Sequence[str]) -> tuple[str, ...]:
    """The names of bands, unless they only count them, in order: Band 1, Band 2, …; then nothing.

    >>> telling(["obs:Band 1", "obs:Band 2"]), telling(["Band 2", "Band 1"])
    ((), ('Band 2', 'Band 1'))
    """
    words = {re.sub(r"\d+", "", name).strip() for name in names}
    numbers = [tuple(map(int, re.findall(r"\d+", name))) for name in names if name.strip()]
    says_nothing = len(names) > 1 and len(words - {""}) <= 1 and numbers == sorted(numbers)
    return () if says_nothing else tuple(names)
