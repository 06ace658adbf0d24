"""The command line: one module per command, each parse → one core call → report."""
