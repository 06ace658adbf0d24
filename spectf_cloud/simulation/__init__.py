"""Simulated EMIT granules with a known truth: a small, plain radiative-transfer scene generator.

`simulate_granule` writes one; `Scene` is the generator itself, for any number of pixels.
"""
