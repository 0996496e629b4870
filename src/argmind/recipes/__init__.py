"""Recipes: whole runs as one configuration tree."""
