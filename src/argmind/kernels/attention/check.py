"""Do the kernels compute the true second derivative here? A small problem against float64."""

from __future__ import annotations

import torch
from torch import Tensor

from argmind.kernels.attention.pair import attend
from argmind.kernels.attention.problem import Limits

#: Largest relative error that passes, by type; a lost derivative gives one of the order of 1.
TOLERANCES = {torch.bfloat16: 3e-2, torch.float16: 5e-3}
_SHAPE = (2, 3, 150, 64)


def kernel_error(device: torch.device, dtype: torch.dtype) -> float:
    """Largest relative error of a thinking step's gradients, given operands of this type."""
    drawn = torch.Generator().manual_seed(0)
    tensors = [torch.randn(_SHAPE, generator=drawn).to(device, dtype) for _ in range(5)]
    after = torch.arange(_SHAPE[2], device=device)[None]
    got = _gradients(tensors, Limits(after))
    want = _gradients([x.double() for x in tensors], Limits(after))
    return max(float((a - b).norm() / b.norm()) for a, b in zip(got, want, strict=True))


def _gradients(tensors: list[Tensor], limits: Limits) -> list[Tensor]:
    """What a candidate's gradient teaches all five tensors, by way of its square."""
    given = [x.detach().requires_grad_() for x in tensors]
    energy = attend(*given, limits=limits).to(torch.promote_types(given[0].dtype, torch.float32))
    (slope,) = torch.autograd.grad(energy.tanh().sum(), given[0], create_graph=True)
    loss = slope.to(energy.dtype).square().sum()
    return [x.double() for x in torch.autograd.grad(loss, given)]
