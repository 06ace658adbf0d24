"""Preferences kept between sessions: tour seen, theme, speed of earlier jobs on this machine."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from spectf_cloud.errors import OutputError
from spectf_cloud.files.atomic import atomic_output
from spectf_cloud.files.cache import cache_folder


@dataclass(frozen=True)
class Rate:
    """Speed of a job: pixels per second once running, and seconds before its first pixel."""

    pixels_per_s: float
    start_s: float
    pixels: int

    def seconds(self, pixels: int) -> float:
        """Return the seconds that ``pixels`` take at this rate.

        >>> Rate(pixels_per_s=100.0, start_s=2.0, pixels=500).seconds(1000)
        12.0
        """
        return self.start_s + pixels / self.pixels_per_s


def model_key(weights: str, fidelity: str, device: str) -> str:
    """Return a key; jobs with the same key are equally fast on this machine."""
    return f"{platform.node()} {weights} {fidelity} {device}"


_KEPT: dict[str, type] = {"tour_seen": bool, "theme": str, "rates": dict}


@dataclass
class Preferences:
    """Preferences in a JSON file at ``path``; a file that cannot be read or written is ignored."""

    path: Path
    tour_seen: bool = False
    theme: str = ""
    rates: dict[str, dict[str, float]] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path | None = None) -> Preferences:
        """Read the valid entries of a file, by default in the user's cache."""
        found = cls(path or cache_folder() / "tui.json")
        with suppress(OSError, ValueError):
            content = json.loads(found.path.read_text(encoding="utf-8"))
            for name, kind in _KEPT.items():
                if isinstance(content, dict) and isinstance(content.get(name), kind):
                    setattr(found, name, content[name])
        return found

    def save(self) -> None:
        """Write the file, if possible."""
        with suppress(OSError, OutputError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_output(self.path, overwrite=True) as temporary:
                temporary.write_text(json.dumps({name: getattr(self, name) for name in _KEPT}, indent=1))

    def rate(self, key: str) -> Rate | None:
        """Return the rate of the last job with this key, if any."""
        values = self.rates.get(key)
        return _rate(values) if isinstance(values, dict) else None

    def learn(self, key: str, rate: Rate) -> None:
        """Keep a finished job's rate."""
        self.rates[key] = asdict(rate)
        self.save()


def _rate(values: Mapping[str, Any]) -> Rate | None:
    try:
        rate = Rate(float(values["pixels_per_s"]), float(values["start_s"]), int(values["pixels"]))
    except (KeyError, TypeError, ValueError):
        return None
    return rate if rate.pixels_per_s > 0 and rate.start_s >= 0 else None
