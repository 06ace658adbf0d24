"""The CPU backend: the compiled kernel, checked against float32 before it is used."""

from __future__ import annotations

import hashlib
import logging
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.files.cache import cache_folder
from spectf_cloud.inference.backend import Feed, SceneBackend, cpu_threads
from spectf_cloud.inference.batches import on_threads
from spectf_cloud.inference.engines.native import reduction, tail_tables
from spectf_cloud.inference.engines.native import tables as tables_module
from spectf_cloud.inference.engines.native.build import BuildError
from spectf_cloud.inference.engines.native.kernel import Kernel, Plan, usable_levels
from spectf_cloud.inference.engines.native.reduction import DOMAIN
from spectf_cloud.inference.engines.native.table_cache import keep_arrays, read_arrays
from spectf_cloud.inference.engines.native.tables import Tables, UnsupportedModelError, build_tables, check_supported
from spectf_cloud.inference.engines.numpy import exact_backend
from spectf_cloud.inference.promise import MARGIN, PROBE, TIERS, Probe, Unavailable, broken_promise, make_probe
from spectf_cloud.models import numpy_spectf
from spectf_cloud.models.numpy_spectf import NumpySpecTf

if TYPE_CHECKING:
    from spectf_cloud.model import SpecTfEncoder

Float32Array = NDArray[np.float32]

logger = logging.getLogger(__name__)

# Most pixels in one call of the kernel; each takes 1 KB of working memory.
_CHUNK = 512
_EVERYTHING = Plan(0.3, np.inf, np.inf, np.inf, (np.inf,) * 5, all_fine=True)


class NativeBackend:
    """Cloud probabilities by the compiled kernel, and by float32 outside the kernel's domain.

    Threads, blocks and other pixels never change a bit of a pixel's result.
    """

    feed: Feed = "arrays"

    def __init__(
        self,
        kernel: Kernel,
        exact: SceneBackend,
        exact_one: SceneBackend,
        fidelity: str,
        threshold: float,
        threads: int,
        plan: Plan,
    ) -> None:
        """Join the kernel with float32 backends. ``exact_one`` is for few pixels: ``exact`` computes full batches."""
        self.plan = plan
        self.name = f"native-{kernel.level}"
        self.fidelity = fidelity
        self.kernel, self.exact, self.exact_one = kernel, exact, exact_one
        self.threads, self.threshold = threads, threshold
        self.tier = TIERS[fidelity]

    def __call__(self, toa: Float32Array) -> Float32Array:
        """Return cloud probability (n,) float32 of toa (n, bands) float32; NaN where the input is."""
        pixels = np.ascontiguousarray(toa, dtype=np.float32)
        # Written so that NaN is outside.
        inside = (pixels.min(axis=1) >= DOMAIN[0]) & (pixels.max(axis=1) <= DOMAIN[1])
        everything = bool(inside.all())
        probability = np.full(len(pixels), np.nan, np.float32)
        probability[inside] = self._approximate(pixels if everything else pixels[inside], self.plan)
        near = self._near(probability, self.tier.recheck[0])
        if near.any():
            probability[near] = self._approximate(pixels[near], _EVERYTHING)
            near &= self._near(probability, self.tier.recheck[1])
        for again, backend in ((near, self.exact_one), (~inside, self.exact)):
            if again.any():
                probability[again] = backend(pixels[again])
        return probability

    def _near(self, probability: Float32Array, distance: float) -> NDArray[np.bool_]:
        near: NDArray[np.bool_] = np.abs(probability - np.float32(self.threshold)) < distance
        return near

    def _approximate(self, pixels: Float32Array, plan: Plan) -> Float32Array:
        logits = np.empty(len(pixels), np.float32)

        def run(start: int) -> None:
            chunk = slice(start, start + step)
            logits[chunk] = self.kernel.logits(pixels[chunk], plan)[0]

        shares = self.threads * max(1, -(-len(pixels) // (_CHUNK * self.threads)))
        step = max(-(-len(pixels) // shares), 64)
        on_threads(run, range(0, len(pixels), step), self.threads)
        return (1 / (1 + np.exp(-logits.astype(np.float64)))).astype(np.float32)


def open_native(
    model: SpecTfEncoder | NumpySpecTf, fidelity: str, threshold: float, threads: int | None = None
) -> NativeBackend:
    """Return the fastest level that keeps the tier's promise for these weights and bands. Raises `Unavailable`."""
    levels = usable_levels()
    if not levels:
        raise Unavailable("SPECTF_SIMD=none")
    try:
        check_supported(model)
        tables, probe = load_tables(model)
    except UnsupportedModelError as error:
        raise Unavailable(str(error)) from error
    threads = threads or cpu_threads()
    exact, exact_one = exact_backend(model, threads), exact_backend(model, threads, few=True)
    reasons = []
    *quick, last = TIERS[fidelity].plans
    for level in levels:
        try:
            kernel = Kernel(level, tables)
        except BuildError as error:
            reasons.append(f"{level.name}: {error}")
            continue
        for plan, share in (*((plan, MARGIN) for plan in quick), (last, 1.0)):
            backend = NativeBackend(kernel, exact, exact_one, fidelity, threshold, threads, plan)
            reason = broken_promise(backend, probe, share)
            if reason is None:
                for earlier in reasons:
                    logger.info("native backend, %s", earlier)
                return backend
        reasons.append(f"{level.name}: {reason}")
    raise Unavailable("; ".join(reasons))


def load_tables(model: SpecTfEncoder | NumpySpecTf) -> tuple[Tables, Probe]:
    """Return tables and probe of a network and its bands, from the cache or built now (a few seconds).

    Raises `UnsupportedModelError`.
    """
    path = cache_folder() / "tables" / f"{fingerprint(model, _code())}.tables"
    arrays = read_arrays(path)
    if arrays is not None:
        toa, probability = (arrays.pop(name).astype(np.float32) for name in ("probe_toa", "probe_probability"))
        probe = Probe(toa, probability, int(arrays.pop("probe_random")))
        return Tables.from_arrays(arrays), probe
    probe = make_probe(model)
    tables = build_tables(model, probe.toa[: probe.random].astype(np.float64))
    arrays = tables.to_arrays()
    arrays |= {"probe_toa": probe.toa, "probe_probability": probe.probability, "probe_random": np.asarray(probe.random)}
    keep_arrays(path, arrays)
    return tables, probe


def fingerprint(model: SpecTfEncoder | NumpySpecTf, code: bytes) -> str:
    """Return the checksum of a network and of the code and data that its tables and probe also depend on."""
    network, digest = NumpySpecTf.of(model), hashlib.sha256(code)
    for name, value in sorted(network.tensors.items()):
        digest.update(name.encode())
        digest.update(value.tobytes())
    digest.update(network.wavelength.tobytes())
    return digest.hexdigest()[:32]


@cache
def _code() -> bytes:
    code = (reduction.__file__, tables_module.__file__, tail_tables.__file__, numpy_spectf.__file__, PROBE)
    return b"".join(Path(str(path)).read_bytes() for path in code)
