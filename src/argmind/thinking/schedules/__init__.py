"""Schedules: how large a step is."""
