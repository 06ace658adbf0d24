"""Spectra the student learns from: TOA reflectance in published units, fresh at every call.

Sources, all from the folder SPECTF_REFERENCE names (default ../shared/reference): the mean and covariance of
real EMIT radiance, surface reflectance libraries, a real EMIT surface reflectance crop, and (if given) a bank of
simulated scenes. The atmosphere here is deliberately crude and widely varied: the lesson is the teacher's
answer to a spectrum, so the spectra need to cover the neighbourhood of real ones, not to be exact.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.toa import resample_irradiance

Spectra = NDArray[np.float32]
DROPPED_NM = ((0.0, 405.0), (1275.0, 1321.0), (2455.0, 9999.0))
NEAR_INFRARED_NM = 865.0
MAX_REFLECTANCE = 1.5
LIBRARIES = (
    "ecostress_library_with_mixtures",
    "ecostress_snow_mixtures",
    "surface_surface_Liquids",
    "surface_v1_binary_surface_ArtificialMaterials",
    "surface_v1_binary_surface_SoilsAndMixtures",
    "surface_v1_binary_surface_Vegetation",
    "emit20250324t221005_jpl_unmix_ex",
)


def reference_folder() -> Path:
    """Where the public reference data lies."""
    return Path(os.environ.get("SPECTF_REFERENCE", "../shared/reference"))


def emit_bands(folder: Path) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Band centres nm (285,), FWHM nm (285,), and which 268 remain after the published band drop."""
    table = np.loadtxt(folder / "emit/emit_wavelengths_285.txt")
    wavelength_nm, fwhm_nm = table[:, 1], table[:, 2]
    kept = np.ones(len(wavelength_nm), bool)
    for low, high in DROPPED_NM:
        kept &= ~((wavelength_nm >= low) & (wavelength_nm <= high))
    return wavelength_nm, fwhm_nm, kept


def read_library(path: Path, wavelength_nm: NDArray[np.float64]) -> Spectra:
    """ENVI BIL reflectance as (spectra, bands) at `wavelength_nm`; spectra with no-data or absurd values left out."""
    header: dict[str, str] = {}
    for line in path.with_name(path.name + ".hdr").read_text().replace("\n ", " ").splitlines():
        key, _, value = line.partition("=")
        header[key.strip().lower()] = value.strip()
    lines, samples, bands = (int(header[key]) for key in ("lines", "samples", "bands"))
    centres = np.array([float(value) for value in header["wavelength"].strip("{} ").split(",")])
    if centres.max() < 100:
        centres = centres * 1000
    values = np.fromfile(path, "<f4").reshape(lines, bands, samples).transpose(0, 2, 1).reshape(-1, bands)
    order = np.argsort(centres, kind="stable")
    values = values[:, order][(values > -0.05).all(1) & (values < 1.6).all(1)]
    return np.stack([np.interp(wavelength_nm, centres[order], row) for row in values]).astype(np.float32)


@dataclass
class Gas:
    """Vertical optical depths per band, from pvlib's ASTM G173 tables: water vapour, and everything else."""

    water: NDArray[np.float64]
    other: NDArray[np.float64]

    @classmethod
    def at(cls, wavelength_nm: NDArray[np.float64], fwhm_nm: NDArray[np.float64]) -> Gas:
        """Direct over extraterrestrial light, less Rayleigh and aerosol, on an air mass of 1.5."""
        from pvlib.spectrum import get_reference_spectra

        table = get_reference_spectra(standard="ASTM G173-03")
        grid_nm = np.arange(350.0, 2600.5, 1.0)
        direct, above = (np.interp(grid_nm, table.index, table[name]) for name in ("direct", "extraterrestrial"))
        um = grid_nm / 1000
        transmittance = direct / above * np.exp(1.5 * (rayleigh(um) + 0.084 * (um / 0.5) ** -1.15))
        band = resample_irradiance(np.column_stack([grid_nm, np.clip(transmittance, 1e-4, 1)]), wavelength_nm, fwhm_nm)
        depth = -np.log(np.clip(band, 1e-4, 1)) / 1.5
        is_other = (wavelength_nm < 700) | (np.abs(wavelength_nm - 765) < 12) | (np.abs(wavelength_nm - 1268) < 20)
        is_other |= (np.abs(wavelength_nm - 1600) < 38) | ((wavelength_nm > 1985) & (wavelength_nm < 2460))
        return cls(np.where(is_other, 0, depth), np.where(is_other, depth, 0))


def rayleigh(um: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rayleigh optical depth of the whole atmosphere at wavelength µm (Hansen and Travis 1974)."""
    return 0.008569 * um**-4 * (1 + 0.0113 * um**-2 + 0.00013 * um**-4)


class Sources:
    """Draws (n, 268) float32 TOA reflectance on the kept EMIT bands; every method takes a fresh sample."""

    def __init__(self, folder: Path, seed: int, simulated: Spectra | None = None) -> None:
        from scipy.io import loadmat

        self.random = np.random.default_rng(seed)
        wavelength_nm, fwhm_nm, kept = emit_bands(folder)
        self.wavelength_nm, self.fwhm_nm = wavelength_nm[kept], fwhm_nm[kept]
        self.near_infrared = int(np.argmin(np.abs(self.wavelength_nm - NEAR_INFRARED_NM)))
        statistics = loadmat(folder / "emit/EMIT_Normalized_Radiances_20240110.mat")
        published = np.load(folder / "official/irr.npy")
        per_radiance = (np.pi / resample_irradiance(published, wavelength_nm, fwhm_nm))[kept]
        values, vectors = np.linalg.eigh(statistics["radiance_covariance"])
        root = vectors * np.sqrt(np.clip(values, 0, None))
        self.mean = (statistics["radiance_mean"][0][kept] * per_radiance).astype(np.float32)
        self.root = (root[kept] * per_radiance[:, None]).astype(np.float32)
        self.surfaces = [read_library(folder / "surfaces" / name, self.wavelength_nm) for name in LIBRARIES]
        self.gas = Gas.at(self.wavelength_nm, self.fwhm_nm)
        self.simulated = simulated

    def draw(self, shares: dict[str, float], n: int) -> Spectra:
        """A shuffled mixture of the named sources in these shares, reflectance at most `MAX_REFLECTANCE`."""
        parts = []
        for name, share in shares.items():
            wanted = round(n * share)
            if wanted:
                parts.append(bounded(getattr(self, name), wanted))
        spectra = np.concatenate(parts)
        return spectra[self.random.permutation(len(spectra))]

    def real_statistics(self, n: int, spread: float = 0.0) -> Spectra:
        """Real EMIT mean and covariance, scaled to a reflectance at 865 nm of 0 to 1; `spread` varies both more."""
        noise = self.random.standard_normal((n, self.root.shape[1]), dtype=np.float32)
        if spread:
            noise *= np.sqrt(self.random.uniform(0.5, 1 + spread, (n, 1))).astype(np.float32)
        shape = self.mean + noise @ self.root.T
        brightness = self.random.beta(1.1, 1.7, (n, 1))
        if spread:
            brightness = brightness * self.random.lognormal(0, 0.35, (n, 1))
        scale = brightness / np.maximum(shape[:, [self.near_infrared]], 1e-6)
        return np.clip(shape * scale, 0, None).astype(np.float32)

    def real_statistics_wide(self, n: int) -> Spectra:
        """The same with covariance inflated 0.5 to 1.8 times and brightness spread further."""
        return self.real_statistics(n, spread=0.8)

    def land(self, n: int) -> Spectra:
        """Surface reflectance: a library spectrum, half of them mixed with others, of varied brightness."""
        chosen = np.stack([self._one_surface(n) for _ in range(3)])
        weight = self.random.dirichlet((0.7, 0.7, 0.7), n).T.astype(np.float32)
        weight[:, self.random.random(n) < 0.5] = np.array([[1.0], [0.0], [0.0]], np.float32)
        surface = np.einsum("kn,kns->ns", weight, chosen)
        gain = np.where(self.random.random((n, 1)) < 0.4, 1.0, self.random.uniform(0.3, 1.1, (n, 1)))
        return np.clip(surface * gain, 0, 1.2).astype(np.float32)

    def _one_surface(self, n: int) -> Spectra:
        sizes = np.array([len(library) for library in self.surfaces], float) ** 0.5
        picked = self.random.choice(len(sizes), n, p=sizes / sizes.sum())
        out = np.empty((n, len(self.wavelength_nm)), np.float32)
        for index, library in enumerate(self.surfaces):
            rows = np.flatnonzero(picked == index)
            out[rows] = library[self.random.integers(len(library), size=len(rows))]
        return out

    def clear(self, n: int) -> Spectra:
        """Land under a clear sky of varied water vapour, aerosol and sun angle."""
        return self._through_air(self.land(n), n, top_km=np.zeros((n, 1)))

    def cloudy(self, n: int) -> Spectra:
        """Cloud decks of any opacity, phase and height over land under the same sky."""
        um = self.wavelength_nm / 1000
        ice = self.random.random((n, 1)) < 0.4
        water_depth = np.exp(self.random.normal(-6.2, 1.2, (n, 1)))  # absorption path per unit of 4 pi k / lambda
        absorb = 0.9 * np.exp(-(((um - 1.5) / 0.13) ** 2)) + 1.6 * np.exp(-(((um - 2.0) / 0.13) ** 2))
        absorb = absorb + 0.25 * np.exp(-(((um - 1.26) / 0.06) ** 2)) + np.clip(um - 2.2, 0, None) * 3
        shift = np.where(ice, 2.2, 1.0)
        albedo = np.exp(-np.sqrt(np.clip(absorb, 0, None) * shift * water_depth * 80))
        opacity = 1 - np.exp(-self.random.gamma(1.0, 1.2, (n, 1)))
        top_km = np.where(ice, self.random.uniform(6, 15, (n, 1)), self.random.uniform(0.3, 6, (n, 1)))
        bright = self.random.uniform(0.6, 1.1, (n, 1)) * opacity * albedo
        below = self._through_air(self.land(n), n, np.zeros((n, 1))) * (1 - opacity) ** 1.5
        return (self._through_air(bright, n, top_km) + below).astype(np.float32)

    def _through_air(self, surface: NDArray[np.floating], n: int, top_km: NDArray[np.float64]) -> Spectra:
        um = self.wavelength_nm / 1000
        random = self.random
        air_mass = 1 / np.cos(np.deg2rad(random.uniform(10, 72, (n, 1)))) + random.uniform(1, 1.15, (n, 1))
        vapour = random.lognormal(0, 0.7, (n, 1)) * np.exp(-top_km / 1.8)
        depth = self.gas.water * (vapour * air_mass / 1.5) ** 0.6 * 1.5
        depth = depth + self.gas.other * (random.uniform(0.9, 1.2, (n, 1)) * np.exp(-top_km / 5) * air_mass) ** 0.8
        gas = np.exp(-depth)
        molecules = rayleigh(um) * np.exp(-top_km / 8)
        haze = random.gamma(1.2, 0.1, (n, 1)) * (um / 0.55) ** -random.uniform(0.4, 1.8, (n, 1)) * np.exp(-top_km / 1.5)
        path = (molecules * random.uniform(0.7, 1.3, (n, 1)) + haze * random.uniform(0.1, 0.4, (n, 1))) * air_mass / 4
        path = path / (1 + path) * gas ** random.uniform(0.1, 0.9, (n, 1))
        down = np.exp(-(0.5 * molecules + 0.15 * haze) * air_mass * 0.8)
        bounce = 1 - surface * (0.4 * molecules + 0.1 * haze)
        return (path + gas * down * surface / bounce).astype(np.float32)

    def smooth(self, n: int) -> Spectra:
        """Smooth random curves, half of them through the gas of a random atmosphere."""
        position = np.linspace(-1, 1, len(self.wavelength_nm))
        curve = sum(
            self.random.normal(0, 1 / (1 + order), (n, 1)) * np.cos(order * np.arccos(position)) for order in range(9)
        )
        level = self.random.uniform(0, 1.1, (n, 1)) / (1 + np.exp(-curve))
        half = self.random.random(n) < 0.5
        level[half] = self._through_air(level[half], int(half.sum()), np.zeros((int(half.sum()), 1)))
        return level.astype(np.float32)

    def simulated_scenes(self, n: int) -> Spectra:
        """Rows of the simulated bank (clouds where none was given)."""
        if self.simulated is None:
            return self.cloudy(n)
        return self.simulated[self.random.integers(len(self.simulated), size=n)].astype(np.float32)

    def mixtures(self, n: int) -> Spectra:
        """Linear mixtures of two spectra from any two sources."""
        names = ("real_statistics", "clear", "cloudy", "simulated_scenes", "smooth")
        first, second = (
            np.concatenate([getattr(self, names[i])(n // len(names) + 1) for i in self.random.permutation(len(names))])
            for _ in range(2)
        )
        share = self.random.random((n, 1)).astype(np.float32)
        return first[:n] * share + second[self.random.permutation(len(second))[:n]] * (1 - share)

    def disturb(self, spectra: Spectra) -> Spectra:
        """In place: a third with band gain 3 % and overall gain 10 %, noise 0.003, a few clipped or zeroed bands."""
        n, bands = spectra.shape
        rows = self.random.random(n) < 0.33
        count = int(rows.sum())
        gain = 1 + 0.03 * self.random.standard_normal((count, bands), dtype=np.float32)
        gain *= 1 + 0.1 * self.random.standard_normal((count, 1), dtype=np.float32)
        spectra[rows] = spectra[rows] * gain + 0.003 * self.random.standard_normal((count, bands), dtype=np.float32)
        broken = np.flatnonzero(self.random.random(n) < 0.02)
        spectra[broken] *= self.random.random((len(broken), bands)) > 0.03
        clipped = np.flatnonzero(self.random.random(n) < 0.02)
        spectra[clipped] = np.minimum(spectra[clipped], self.random.uniform(0.3, 1.0, (len(clipped), 1)))
        return np.clip(spectra, 0, None, out=spectra)


def read_bank(path: str) -> Spectra | None:
    """The spectra `simulate_bank` wrote (n, 268), mapped; None where there are none."""
    bank: Spectra | None = np.load(path, mmap_mode="r") if Path(path).is_file() else None
    return bank


def bounded(source: object, n: int) -> Spectra:
    """n spectra of a source whose largest reflectance stays within `MAX_REFLECTANCE`."""
    kept: list[Spectra] = []
    missing = n
    while missing > 0:
        batch = source(missing + missing // 3 + 8)  # type: ignore[operator]
        batch = batch[batch.max(1) <= MAX_REFLECTANCE][:missing]
        kept.append(batch)
        missing -= len(batch)
    return np.concatenate(kept)
