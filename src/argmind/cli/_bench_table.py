"""The table of ``argmind bench``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.table import Table

if TYPE_CHECKING:
    from rich.console import Console

    from argmind.bench.measure import Measurement
    from argmind.bench.rows import Row

_HEADS = ("", "model", "ms", "{}/s", "GiB", "TFLOP", "TFLOP/s", "floor ms", "× floor")


def show(found: Measurement, out: Console) -> None:
    """Rows, ratios, and what the device can do at best."""
    setting, ceilings = found.options.setting, found.ceilings
    text = found.reads == "text"
    sizes = f"context {setting.context_tokens}, vocabulary {setting.vocab_size:,}, " if text else ""
    table = Table(
        title=f"{found.device}, {setting.precision}: {sizes}batch {setting.batch_size}",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
        caption="ms: median, and where the middle 80 % lie. train: forward and backward; "
        "decode: one new token of every text; predict: a batch of answers. floor: the larger of "
        "FLOPs and bytes at the device's best",
        caption_justify="left",
    )
    for head in _HEADS:
        named = head.format("tokens" if text else "answers")
        table.add_column(named, justify="left" if head in ("", "model") else "right")
    for row in found.rows:
        table.add_row(*_cells(row))
    out.print(table)
    for row in found.rows:
        optimizer_ms = row.details.get("optimizer_ms")
        if optimizer_ms is not None:
            out.print(
                f"{row.model}: {row.parameters:,} parameters, optimiser {optimizer_ms:.3g} ms"
            )
    for what, ratio in found.ratios.items():
        spread = "" if ratio.low is None else f" ({ratio.low:.2f}–{ratio.high:.2f})"
        out.print(f"{what}: {found.names[0]} / {found.names[1]} = {ratio.value:.2f}{spread}")
    out.print(
        f"at best here: {ceilings.flops_per_s / 1e12:.4g} TFLOP/s of matrix products, "
        f"{ceilings.bytes_per_s / 1e9:,.4g} GB/s"
    )
    if found.options.profile is not None:
        out.print(f"trace: {found.options.profile}")


def _cells(row: Row) -> list[str]:
    if row.ms is None:
        return [row.what, row.model, row.status, *[""] * 6]
    ms = f"{row.ms.value:.3f}"
    if row.ms.low is not None and row.ms.high is not None:
        ms += f"\n{row.ms.low:#.3g}–{row.ms.high:#.3g}"
    return [
        row.what,
        row.model,
        ms,
        f"{row.tokens_per_s:,.0f}",
        "–" if row.peak_bytes is None else f"{row.peak_bytes / 2**30:.2f}",
        f"{(row.flops or 0) / 1e12:.3g}",
        f"{(row.achieved or 0) / 1e12:.3g}",
        "–" if row.floor_ms is None else f"{row.floor_ms:.3g}",
        "–" if row.over_floor is None else f"{row.over_floor:.1f}",
    ]
