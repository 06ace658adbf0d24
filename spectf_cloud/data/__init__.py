"""Labelled spectra: reading, caching, splitting."""
