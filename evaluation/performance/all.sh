#!/bin/sh
# Measure everything and write evaluation/performance.md. Run from the repository root: all.sh PYTHON
set -eu
python=$1
reference=${SPECTF_REFERENCE:-../shared/reference}
folder=${SPECTF_BENCH_DIR:-bench}
weights="v0.1.0=$reference/official/v0.1.0/weights.pt v0.0.1=$reference/official/v0.0.1/weights.pt builtin=builtin"
mkdir -p "$folder"
$python -m evaluation.performance.bank "$folder/bank.npz" $weights
for part in real simulated bands fidelity; do
    $python -m evaluation.performance.bench $part "$folder/bank.npz" "$folder/$part.json" $weights
done
$python -m evaluation.performance.cube "$folder/cube.json" $weights
$python -m evaluation.performance.report "$folder"/real.json "$folder"/simulated.json "$folder"/bands.json \
    "$folder"/fidelity.json "$folder"/cube.json
