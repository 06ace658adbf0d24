"""Many scenes: finding granules, masking them on an engine, the ledger of what was done, and the catalogue."""
