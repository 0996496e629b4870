"""The trainer: machinery with no word of any modality in it."""
