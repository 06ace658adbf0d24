"""Training networks on labelled spectra."""
