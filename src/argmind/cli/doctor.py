"""``argmind doctor``: what is here, and whether it computes what it should."""

from __future__ import annotations

import argparse
import importlib.metadata
import platform
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from argmind.cli._parser import Parsers, add_verb

if TYPE_CHECKING:
    from rich.console import Console

#: Optional packages, and the extra that brings each.
_OPTIONAL = {
    "tokenizers": "text",
    "datasets": "data",
    "pyarrow": "data",
    "scikit-learn": "image",
    "pillow": "image",
    "diffusers": "image",
    "gym-pusht": "policy",
    "matplotlib": "report",
    "tensorboard": "tensorboard",
}


def add(parsers: Parsers) -> None:
    """Add the verb."""
    parser = add_verb(
        parsers,
        "doctor",
        run,
        "show versions, devices and kernels, and test second derivatives; exit code 1 if they fail",
        "argmind doctor",
        "argmind doctor --device cuda --json",
    )
    parser.add_argument("--device", default="auto", help="where to test: auto, cpu, cuda or cuda:N")
    parser.add_argument("--out", default="runs", metavar="FOLDER", help="folder that runs go to")


def run(args: argparse.Namespace) -> int:
    """Look at everything, print it, and fail when a second derivative is wrong."""
    from argmind.train.distributed import resolve_device

    device = resolve_device(args.device)
    tests, kernels = _second_order(device), _kernels(device) | _compiled(device)
    plain: dict[str, Any] = {
        "versions": _versions(),
        "device": _device(device),
        "attention": {
            "default": _default_attention(),
            "auto": _auto(device),
            "sdpa": _sdpa(device),
        },
        "second_order": tests,
        "kernels": kernels,
        "free_bytes": _free(args.out),
    }
    plain["ok"] = all(test["status"] != "FAILED" for test in (tests | kernels).values())
    args.screen.result(plain, lambda out: _show(plain, out))
    return 0 if plain["ok"] else 1


def _versions() -> dict[str, str | None]:
    from argmind import __version__

    found: dict[str, str | None] = {"argmind": __version__, "python": platform.python_version()}
    for package in ("torch", "numpy", "safetensors", *_OPTIONAL):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = None
    return found


def _device(device: Any) -> dict[str, Any]:
    import torch

    from argmind.train.engine import resolve_precision

    gpu = torch.cuda.get_device_properties(device) if device.type == "cuda" else None
    return {
        "chosen": str(device),
        "name": gpu.name if gpu else platform.processor() or platform.machine(),
        "memory_bytes": gpu.total_memory if gpu else None,
        "gpus": torch.cuda.device_count(),
        "threads": torch.get_num_threads(),
        "precision": resolve_precision("auto", device),
    }


def _default_attention() -> str:
    from argmind.nn.transformer import TransformerConfig

    return TransformerConfig().attention.part_name


def _auto(device: Any) -> dict[str, str]:
    """Which form of attention ``auto`` takes, by type."""
    from argmind.kernels.attention.choice import report

    return report(device)


def _sdpa(device: Any) -> list[str]:
    """Forms of PyTorch's fused attention that may serve where no second derivative is needed."""
    import torch

    if device.type != "cuda":
        return ["math", "flash (cpu)"]
    backends = torch.backends.cuda
    switches = {
        "flash": backends.flash_sdp_enabled,
        "memory efficient": backends.mem_efficient_sdp_enabled,
        "cudnn": backends.cudnn_sdp_enabled,
        "math": backends.math_sdp_enabled,
    }
    return [name for name, enabled in switches.items() if enabled()]


def _second_order(device: Any) -> dict[str, dict[str, Any]]:
    """Every attention form's test: ok, FAILED, or why there is none."""
    from argmind import registry
    from argmind.cli._selftest import TOLERANCE, second_order_error
    from argmind.errors import UserError

    results: dict[str, dict[str, Any]] = {}
    for name in registry.names("attention"):
        try:
            error = second_order_error(name, device)
        except UserError as reason:
            results[name] = {"status": "not here", "reason": str(reason)}
            continue
        except RuntimeError as reason:  # what PyTorch raises where a derivative is missing
            results[name] = {"status": "FAILED", "reason": str(reason)}
            continue
        # Written so that NaN fails.
        status = "ok" if error < TOLERANCE else "FAILED"
        results[name] = {"status": status, "relative_error": error}
    return results


def _kernels(device: Any) -> dict[str, dict[str, Any]]:
    """The kernels' own test, in the types that they compute in."""
    from argmind.kernels.attention.check import TOLERANCES, kernel_error
    from argmind.kernels.attention.choice import why_not_triton

    results: dict[str, dict[str, Any]] = {}
    for dtype, tolerance in TOLERANCES.items():
        name = f"kernels in {str(dtype)[6:]}"
        if reason := why_not_triton(device, dtype, 64):
            results[name] = {"status": "not here", "reason": reason}
            continue
        error = kernel_error(device, dtype)
        status = "ok" if error < tolerance else "FAILED"
        results[name] = {"status": status, "relative_error": error}
    return results


def _compiled(device: Any) -> dict[str, dict[str, Any]]:
    """The check that training makes before it compiles, where it compiles of its own accord."""
    from argmind.cli._selftest import compiled_gradient

    name = "compiled"
    if device.type != "cuda":
        return {name: {"status": "not tested", "reason": "training compiles on GPUs"}}
    try:
        finding = compiled_gradient(device)
    except RuntimeError as reason:  # what torch.compile raises
        return {name: {"status": "FAILED", "reason": str(reason)}}
    status = "ok" if finding.passed else "FAILED"
    return {name: {"status": status, "relative_error": finding.error}}


def _free(out: str) -> dict[str, int]:
    from argmind.data.storage import cache_folder

    return {str(folder): _free_bytes(folder) for folder in (cache_folder(), Path(out))}


def _free_bytes(folder: Path) -> int:
    there = folder.absolute()
    while not there.exists():
        there = there.parent
    return shutil.disk_usage(there).free


def _show(plain: dict[str, Any], out: Console) -> None:
    for name, version in plain["versions"].items():
        missing = f"not installed: pip install 'argmind[{_OPTIONAL.get(name, 'all')}]'"
        out.print(f"{name:<12} {version or missing}")
    device = plain["device"]
    memory = f", {device['memory_bytes'] / 2**30:.0f} GiB" if device["memory_bytes"] else ""
    out.print(
        f"\ndevice       {device['chosen']} ({device['name']}{memory}), {device['gpus']} GPUs"
    )
    out.print(f"precision    {device['precision']}, {device['threads']} CPU threads")
    attention = plain["attention"]
    out.print(f"attention    {attention['default']} serves unless a recipe says otherwise")
    for dtype, form in attention["auto"].items():
        out.print(f"auto         {dtype}: {form}")
    out.print(f"fused        {', '.join(attention['sdpa'])} (contexts and Transformer++)")
    for name, test in (plain["second_order"] | plain["kernels"]).items():
        said = test.get("reason") or f"relative error {test['relative_error']:.1e}"
        out.print(f"second order {name}: {test['status']} ({said})")
    for folder, free in plain["free_bytes"].items():
        out.print(f"free disk    {free / 2**30:,.1f} GiB at {folder}")
