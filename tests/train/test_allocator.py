"""Memory that a process has freed and needs again does not come as new pages each time."""

from __future__ import annotations

import subprocess
import sys

import pytest

FAULTS = """
import resource, sys, torch
from argmind.train.allocator import keep_freed_memory
told = sys.argv[1] == "kept" and keep_freed_memory()
x = torch.ones(700_000)
for _ in range(20):
    several = [x * factor for factor in range(8)]
    del several
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(200):
    several = [x * factor for factor in range(8)]
    del several
print(int(told), resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(which: str) -> tuple[bool, int]:
    """Whether the allocator was told, and pages asked for by 200 times eight tensors of 2.8 MB."""
    command = [sys.executable, "-c", FAULTS, which]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    told, count = done.stdout.split()
    return bool(int(told)), int(count)


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc knows how")
def test_tensors_are_made_of_pages_that_were_there_before() -> None:
    told, few = faults("kept")
    if not told:
        pytest.skip("this C library has no mallopt")
    _, many = faults("as it is")
    assert few < many
