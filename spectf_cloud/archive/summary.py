"""The ledger in a few numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from spectf_cloud.archive.ledger import Counts, Ledger


@dataclass(frozen=True)
class Summary:
    """Counts by state, mean wall-clock seconds of a scene by stage, and granules by recipe in words."""

    counts: Counts
    seconds_per_scene: Mapping[str, float]
    recipes: Mapping[str, int]


def summarise(ledger: Ledger) -> Summary:
    """Read the whole ledger."""
    seconds: Counter[str] = Counter()
    by_recipe: Counter[str] = Counter()
    done = 0
    for row in ledger.rows("done"):
        done += 1
        seconds.update(row.seconds)
        by_recipe[row.recipe or ""] += 1
    known = ledger.recipes()
    words: Counter[str] = Counter()
    for key, number in by_recipe.items():
        recipe = known.get(key, {})
        words[
            f"{recipe.get('weights')} above {recipe.get('threshold')}, {recipe.get('fidelity')}, "
            f"spectf-cloud {recipe.get('version')} (recipe {key})"
        ] += number
    return Summary(ledger.counts(), {stage: total / done for stage, total in seconds.items()}, dict(words))
