"""Noising and its undoing: Gaussian processes, their samplers, and how noisy a picture is."""
