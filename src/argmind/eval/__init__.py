"""Measuring predictors: losses, intervals, comparisons, results files."""
