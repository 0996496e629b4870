"""``python -m argmind``, which is also what torchrun starts."""

from __future__ import annotations

import sys

from argmind.cli import main

sys.exit(main())
