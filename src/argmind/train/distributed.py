"""One process or many under torchrun: who am I, and what do all of us agree on."""

from __future__ import annotations

import atexit
import functools
import inspect
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from argmind.errors import UserError

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class World:
    """The processes of a run; a lone process is a world of one, in which every call is local."""

    device: torch.device
    rank: int = 0
    size: int = 1
    #: Carries decisions of the host on the CPU, so that agreeing never waits for a GPU.
    control: Any = None

    @property
    def is_main(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def wrap(self, objective: nn.Module) -> nn.Module:
        """The module to call in training: DDP averages the gradients of all processes.

        The objective as a whole is wrapped, so that the thinking loop with its second-order graph
        runs inside one wrapped forward. Random step counts leave some parameters unused in some
        steps, hence ``find_unused_parameters``; buffers belong to their rank and are not sent.
        """
        if self.size == 1:
            return objective
        known = inspect.signature(DistributedDataParallel).parameters
        # The older name still works in torch 2.13, with a warning.
        name = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
        options: dict[str, Any] = {name: False, "find_unused_parameters": True}
        return DistributedDataParallel(objective, **options)

    def add_up(self, values: Tensor) -> Tensor:
        """Sum over all processes, in place."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def largest(self, value: int) -> int:
        """The largest value any process gives: a flag that one raises is raised for all."""
        if self.size == 1:
            return value
        shared = torch.tensor(value)
        dist.all_reduce(shared, op=dist.ReduceOp.MAX, group=self.control)
        return int(shared)

    def together(self, action: Callable[[], T]) -> T:
        """Do something that may fail on some processes only; if it does, it fails on all.

        Raises:
            UserError: here or elsewhere; nobody is left waiting for the others.
        """
        result, problem = None, None
        try:
            result = action()
        except UserError as error:
            problem = error
        if self.largest(int(problem is not None)):
            raise problem or UserError("another process of this run failed; see its message.")
        return cast(T, result)

    def from_main(self, value: int) -> int:
        """The main process's value."""
        if self.size == 1:
            return value
        shared = torch.tensor(value)
        dist.broadcast(shared, src=0, group=self.control)
        return int(shared)


def without_sync(module: nn.Module, active: bool) -> AbstractContextManager[Any]:
    """Where ``active``, gradients of a wrapped module stay local: more micro-batches follow."""
    if active and isinstance(module, DistributedDataParallel):
        return module.no_sync()
    return nullcontext()


def resolve_device(name: str, local_rank: int = 0) -> torch.device:
    """The device called "auto", "cpu", "cuda" (that of this process) or "cuda:N".

    Raises:
        UserError: no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type == "cpu":
        return device
    if device.type != "cuda":
        raise UserError(f"unknown device '{name}'. Known: auto, cpu, cuda, cuda:N.")
    if not torch.cuda.is_available():
        raise UserError(
            f"device '{name}' was asked for, but this PyTorch ({torch.__version__}) sees no CUDA "
            "GPU. Use device 'cpu' or 'auto'; `argmind doctor` shows what is there."
        )
    index = device.index if ":" in name else local_rank
    count = torch.cuda.device_count()
    if index >= count:
        raise UserError(f"GPU {index} was asked for, but there are {count}, counted from 0.")
    return torch.device("cuda", index)


def join_world(device_name: str) -> World:
    """Join the processes that torchrun started, or be alone.

    Once joined, the processes stay together until they end: torchrun has one meeting place for
    them, and a second run in the same processes uses it again.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    device = resolve_device(device_name, int(os.environ.get("LOCAL_RANK", "0")))
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if size == 1:
        return World(device=device)
    control = _meet(device.type)
    return World(device=device, rank=dist.get_rank(), size=size, control=control)


@functools.cache
def _meet(device_type: str) -> Any:
    """The group for decisions on the CPU; gradients go through the default group."""
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device_type == "cuda" else "gloo")
        atexit.register(dist.destroy_process_group)
    return dist.new_group(backend="gloo") if device_type == "cuda" else dist.group.WORLD
