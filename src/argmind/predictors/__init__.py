"""Predictors: one call, ``predict``, for models that think and for models that do not."""
