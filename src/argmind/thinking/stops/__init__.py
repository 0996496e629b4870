"""Stops: when a prediction is finished."""
