"""The attention kernels, interpreted on the CPU; the GPU's own tests are in test_gpu_attention.

The interpreter multiplies no bf16, and costs seconds a problem.
"""

from __future__ import annotations

from interpreted import assert_runs, needs_triton


@needs_triton
def test_kernels_compute_what_the_plain_form_does() -> None:
    assert_runs(__file__)


def main() -> None:
    import torch
    from attention_cases import Case, assert_close, derivatives

    from argmind.kernels.attention import ops
    from argmind.kernels.attention.pair import attend

    cases = (
        Case(head_size=16, candidates=2, asked=35, keys=35, kv_heads=1, batch=1),
        Case(
            head_size=16, asked=20, keys=37, shuffled=True, padded=True, lead=1, heads=1, kv_heads=1
        ),
        Case(head_size=24, limited=False, asked=33, keys=40, batch=1),
    )
    for case in cases:
        problem = case.problem(torch.device("cpu"), torch.float32)
        for moving in (False, True) if case.limited else (True,):
            found = []
            for reason in ("no GPU", None):
                ops.why_not_triton = lambda *_, reason=reason: reason
                found.append(derivatives(attend, problem, moving))
            assert_close(found[1], found[0], 1e-5)


if __name__ == "__main__":
    main()
