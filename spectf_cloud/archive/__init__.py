"""Many scenes: masking granules on an engine, the ledger of their results, and the catalogue."""
