"""Files on disk: written whole, locked, fetched, bundled, read as YAML."""
