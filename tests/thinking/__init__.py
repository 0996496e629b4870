"""Tests of the thinking loop and what is built around it."""
