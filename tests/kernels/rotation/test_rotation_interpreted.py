"""The rotation kernel, interpreted on the CPU."""

from __future__ import annotations

from interpreted import assert_runs, needs_triton


@needs_triton
def test_the_kernel_turns_as_the_plain_form_does() -> None:
    assert_runs(__file__)


def main() -> None:
    from rotation_cases import assert_kernel_agrees

    from argmind.kernels.rotation import triton_turn

    assert_kernel_agrees(triton_turn, "cpu")


if __name__ == "__main__":
    main()
