"""Measure training speed beside the straightforward loop: same start, same batches, same order, one thread.

python -m evaluation.performance.training DATA.hdf5 [--steps 8]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from evaluation import report
from evaluation.results import ROOT, add, result
from spectf_cloud.data.spectra import open_spectra

from training_race import compare

PAGE = ROOT / "evaluation/performance.md"


def main() -> None:
    """Measure with and without dropout."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--out", type=Path, default=PAGE.with_suffix("") / "performance.json")
    options = parser.parse_args()
    spectra = open_spectra(options.dataset)
    for dropout in (0.1, 0.0):
        found = compare(spectra, dropout, options.steps)
        for name in ("ours", "straightforward"):
            rate = found[name]["pixels_per_cpu_second"]
            print(f"dropout {dropout}: {name} {rate:.0f} pixels a CPU second")
            add(options.out, [result("training", f"dropout {dropout}", name, value=rate, unit="pixels/CPU s")])
    report.main([PAGE])


if __name__ == "__main__":
    main()
