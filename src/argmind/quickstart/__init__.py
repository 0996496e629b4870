"""A tour in minutes: train an energy model and its rival, let it think, see what that bought.

A domain is one module here: it subclasses :class:`argmind.quickstart.base.Domain` and registers a
function ``run(*, minutes, out, seed, silent) -> dict`` under the kind ``quickstart``.
"""
