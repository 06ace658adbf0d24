"""Cloud probabilities of spectra: `predict`, and the backends that compute it."""
