"""Simulated scenes with a known truth: a small, plain radiative-transfer scene generator.

`granule.simulate_granule` writes one as an EMIT granule, or as a map of any sensor; `granule.simulate_scene` gives the
scene itself, computed pixel by pixel on demand.
"""
