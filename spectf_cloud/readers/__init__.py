"""What is on disk: a module per format or product gives a `Cube` or a `Scene`; others hold what these share."""
