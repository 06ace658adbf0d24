"""Simulated EMIT granules with a known truth: a small, plain radiative-transfer scene generator.

`granule.simulate_granule` writes one; `granule.simulate_scene` gives the scene itself, whose radiance is computed
pixel by pixel on demand.
"""
