"""Tasks: what is given of an image, and so what a model has to find."""
