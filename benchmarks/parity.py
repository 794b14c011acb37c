"""Exports every family in every precision and writes what the exports proved: ``python benchmarks/parity.py``.

Real architectures have random weights here, whose masks are noise: they prove tensors. The reduced SAM of the tests was
trained, and proves masks. Both go through the export as a user's checkpoint does, and so does what it refuses.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import torch
from bars import print_table
from samcolloid_edge import ModelError
from samcolloid_edge.export.exporter import export
from samcolloid_edge.export.mobile_sam import SIDE, TinyViT, TinyViTSizes
from samcolloid_edge.export.sam import with_encoder
from samcolloid_edge.models.card import Precision
from segment_anything import sam_model_registry
from torch import nn

REDUCED: Final = Path(__file__).resolve().parent.parent / "tests" / "data" / "reduced_sam.pth"
POINTS: Final = 8
"""Points per side for the reduced SAM: some eighty masks survive on the eight micrographs."""
PRECISIONS: Final[tuple[Precision, ...]] = ("fp32", "fp16", "int8")
MOBILE: Final = TinyViTSizes(
    widths=(64, 128, 160, 320), depths=(2, 2, 6, 2), heads=(4, 5, 10), windows=(7, 14, 7), expansion=256,
    hidden=(512, 640, 1280), kernel=3, out=256,
)  # fmt: skip
"""The published MobileSAM."""
FAMILIES: Final = ("reduced", "mobile_sam", "vit_b", "vit_l", "vit_h")
COLUMNS: Final = ("model", "embeddings", "predicted IoU", "logits", "masks", "mean IoU", "lowest IoU", "F1", "in fp32",
                  "disk, MB", "export, GB", "export, s", "engine, GB", "engine, s")  # fmt: skip
EXAMPLE: Final = Path(__file__).resolve().parent.parent / "examples" / "trimers.tif"


def random_checkpoint(family: str, path: Path) -> Path:
    """A checkpoint of a real architecture with random weights; what starts as zeros or ones in SAM does not here."""
    torch.manual_seed(0)
    if family == "mobile_sam":
        model: nn.Module = with_encoder(TinyViT(MOBILE, SIDE), SIDE, SIDE // 16, MOBILE.out, 2048)
    else:
        model = sam_model_registry[family]()
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if name.endswith(("rel_pos_h", "rel_pos_w", "pos_embed", "attention_biases", "running_mean")):
                tensor.normal_(std=0.1)
            elif name.endswith("running_var"):
                tensor.uniform_(0.5, 1.5)
    torch.save(model.state_dict(), path)
    return path


def row(name: str, card: Any, folder: Path) -> list[object]:
    """One line of the table from a card."""
    differences, masks = card.parity["largest difference, share of range"], card.parity["masks of the automatic run"]
    trained = "F1" in masks
    return [
        name,
        *(f"{differences[k]:.1e}" for k in ("image_embeddings", "iou_predictions", "low_res_masks")),
        masks["torch"] if trained else "-",
        *((f"{masks['mean IoU']:.4f}", f"{masks['IoU at the lowest, 1 %, 5 %, 50 %'][0]:.3f}", f"{masks['F1']:.4f}")
          if trained else ("-", "-", "-")),
        len(card.export["kept in fp32"]),
        f"{sum(p.stat().st_size for p in folder.iterdir()) / 1e6:.0f}",
        f"{card.export['peak memory, bytes'] / 1e9:.1f}",
        f"{card.export['seconds']:.0f}",
        *analysed(folder),
    ]  # fmt: skip


def analysed(folder: Path) -> tuple[str, str]:
    """Peak memory, GB, and seconds of the engine on a rendered micrograph, 8 × 8 prompts, in a process of its own."""
    script = Path(__file__).resolve().with_name("one_analysis.py")
    command = [sys.executable, str(script), str(EXAMPLE), "--model", str(folder), "--points-per-side", "8"]
    found = json.loads(subprocess.run(command, capture_output=True, check=True, encoding="utf-8").stdout)
    return f"{found['peak'] / 1e3:.2f}", f"{found['analyze']:.1f}"


def exported(family: str, precision: Precision, source: Path) -> list[object]:
    """The line of the table for one export, or what it was refused for."""
    with tempfile.TemporaryDirectory() as temporary:
        try:
            done = export(source, precision=precision, out=Path(temporary) / "model",
                          points_per_side=POINTS if family == "reduced" else 2)  # fmt: skip
        except ModelError as error:
            return [f"{family} {precision}", str(error)]
        return row(f"{family} {precision}", done.card, done.folder)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the exports that were asked for and print their table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--families", nargs="*", default=FAMILIES, choices=FAMILIES)
    parser.add_argument("--precisions", nargs="*", default=PRECISIONS, choices=PRECISIONS)
    given = parser.parse_args(arguments)
    rows: list[list[object]] = []
    # A process each, so that each one's peak memory is its own.
    with tempfile.TemporaryDirectory() as temporary, ProcessPoolExecutor(
        1, mp_context=get_context("spawn"), max_tasks_per_child=1
    ) as processes:
        for family in given.families:
            source = REDUCED
            if family != "reduced":
                source = processes.submit(random_checkpoint, family, Path(temporary) / f"{family}.pth").result()
            for precision in given.precisions:
                rows.append(processes.submit(exported, family, precision, source).result())
                print("  ".join(map(str, rows[-1])), flush=True)
            if source != REDUCED:
                source.unlink()
    width = len(COLUMNS)
    print_table("export parity: largest differences are shares of the tensor's range", COLUMNS,
                [r + [""] * (width - len(r)) for r in rows])  # fmt: skip


if __name__ == "__main__":
    main()
