"""What computes a network's probabilities, one folder an engine."""
