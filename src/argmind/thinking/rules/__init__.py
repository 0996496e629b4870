"""Rules: from a gradient to a move."""
