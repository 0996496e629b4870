"""How reasoning problems, and answers to them, are written as lines of text."""
