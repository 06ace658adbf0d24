"""Training speed against the straightforward loop."""
