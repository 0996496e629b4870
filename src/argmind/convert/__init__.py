"""Reading models that other code trained."""

from argmind.convert.published import ConvertedCheckpoint, build_ebt, read_published

__all__ = ["ConvertedCheckpoint", "build_ebt", "read_published"]
