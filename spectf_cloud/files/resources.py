"""Paths of the files that come with the package: at the top of the repository, or inside the wheel."""

from __future__ import annotations

from pathlib import Path

from spectf_cloud.files.releases import sha256_of

#: Files that every installation has and that no output may replace.
RESOURCES = ("weights.pt", "weights.yml", "irr.npy", "irr_astm_g173.npy", "spectf_cloud_config.yml")

PUBLISHED, ASTM_G173 = "published", "astm-g173"
_IRRADIANCES = {PUBLISHED: "irr.npy", ASTM_G173: "irr_astm_g173.npy"}
#: Other names of the published irradiance.
_ALIASES = {"builtin": PUBLISHED, "official": PUBLISHED}
#: What to do where nothing says which irradiance was used.
NAME_IRRADIANCE = f"name it: --irradiance {PUBLISHED}, --irradiance {ASTM_G173} (built in until 1.4), or a file"

_PACKAGE = Path(__file__).resolve().parents[1]


def resource(name: str) -> Path:
    """Return the path of one of `RESOURCES`, or of another file of the package, by its name."""
    in_wheel = _PACKAGE / "resources" / name
    return in_wheel if in_wheel.exists() else _PACKAGE.parent / name


def irradiance_file(name: str | Path) -> Path:
    """Return the path of a solar irradiance: ``published``, ``astm-g173``, or the path itself.

    >>> irradiance_file("published").name, irradiance_file("mine.npy").name
    ('irr.npy', 'mine.npy')
    """
    bundled = _IRRADIANCES.get(_ALIASES.get(str(name), str(name)))
    return resource(bundled) if bundled else Path(name)


def bundled_irradiance(sha256: str) -> str | None:
    """Return the name of the bundled solar irradiance with this checksum, None for any other."""
    return next((name for name, file in _IRRADIANCES.items() if sha256_of(resource(file)) == sha256), None)
