"""Observation encoders: what a robot sees and feels in each of its last frames, as rows."""
