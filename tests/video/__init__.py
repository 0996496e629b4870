"""Next-frame models, their objectives and roll-outs."""
