"""How good masks are: scores of models on labelled spectra, and reports of them."""
