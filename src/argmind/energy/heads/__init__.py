"""Energy heads: the last hidden state of a candidate, read as one number."""
