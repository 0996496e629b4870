"""Transformer parts, one file a variant: attention, feed-forward, norm, position, conditioning."""
