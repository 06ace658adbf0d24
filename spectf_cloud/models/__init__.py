"""Networks and rules, and how they are loaded."""
