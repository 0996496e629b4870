"""The kernels of normalisation, interpreted on the CPU."""

from __future__ import annotations

from interpreted import assert_runs, needs_triton


@needs_triton
def test_kernels_compute_what_the_plain_form_does() -> None:
    assert_runs(__file__)


def main() -> None:
    from norm_cases import assert_kernels_agree

    from argmind.kernels.norms import triton_rows

    assert_kernels_agree(triton_rows, "cpu", 1e-5)


if __name__ == "__main__":
    main()
