"""The terminal application. Textual lives here and nowhere else; PyTorch runs in child processes only."""
