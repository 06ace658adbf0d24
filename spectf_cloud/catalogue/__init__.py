"""Finding scenes and fetching them."""
