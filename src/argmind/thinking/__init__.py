"""Thinking: moving candidates downhill. Rules, schedules, stops, and the one loop."""
