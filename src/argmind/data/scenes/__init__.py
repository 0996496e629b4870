"""Scenes: worlds that clips of frames are made of."""
