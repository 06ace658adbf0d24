"""Cloud rules without a network."""
