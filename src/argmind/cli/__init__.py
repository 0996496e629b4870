"""The command line. Every module here without a leading underscore is a verb.

This module stays empty but for the entry point: verbs are its attributes, ``list`` among them.
"""

from argmind.cli._main import main

__all__ = ["main"]
