"""Training SpecTf from labelled spectra."""
