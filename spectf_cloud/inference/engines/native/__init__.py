"""The compiled CPU kernel."""
