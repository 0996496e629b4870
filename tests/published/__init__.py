"""The published text algorithm, restated slowly, to compare the library with."""
