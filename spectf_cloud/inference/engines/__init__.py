"""The engines that compute a network's probabilities, one folder each."""
