"""Finding scenes and bringing them here."""
