"""Text at the user's end: runs that take and give strings."""
