"""One suite over everything registered."""
