"""Compiles the kernels of the later steps in a process of its own while the first analysis is at the earlier ones.

numba compiles on one core, and half of what a first analysis waits for is compiled after the lobes are found. What the
other process keeps (``caches``) the analysis finds when it comes there; what is not done by then it compiles itself.
"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from typing import Any

import numpy as np

from . import caches


@cache
def start() -> subprocess.Popen[Any] | None:
    """Start that process, once, where nothing has been compiled yet and there is a core for it; else None.

    For programs whose interpreter is ``sys.executable``; one that embeds Python may be something else altogether.
    """
    if caches.kept() or (os.cpu_count() or 1) < 2 or not sys.executable or not caches.can_keep():
        return None
    hidden = 0
    if sys.platform == "win32":
        hidden = subprocess.CREATE_NO_WINDOW
    quiet = subprocess.DEVNULL
    try:
        return subprocess.Popen([sys.executable, "-P", "-m", __name__], stdin=quiet, stdout=quiet, stderr=quiet,
                                creationflags=hidden)  # fmt: skip
    except OSError:
        return None


def compile_later_steps() -> None:
    """Group, then measure a few lobes drawn by hand: the last step first, as the analysis comes to meet."""
    from . import evidence, group, masks, measure, outline, set_shape
    from .read import read
    from .votes import Votes

    row, column = np.mgrid[:96, :128]
    labels = np.zeros(row.shape, np.int32)
    for label, (y, x) in enumerate(((30, 30), (30, 48), (46, 39), (60, 90), (60, 108)), 1):
        labels[(row - y) ** 2 + (column - x) ** 2 < 10**2] = label
    micrograph, n = read(np.where(labels > 0, 180, 60).astype(np.uint8)), int(labels.max())
    iou = np.full(n, 0.9, np.float32)
    pairs = np.stack(np.triu_indices(n), 1)
    votes = Votes(n, pairs, np.where(pairs[:, 0] == pairs[:, 1], 1.0, 0.5))
    contacts = evidence.contacts(labels, micrograph.pixels, micrograph.area, votes)
    grouping = group.group_by_evidence(contacts, iou, "auto")
    lobes = measure.measure(labels, micrograph, iou, iou, outline.of_labels(labels))
    set_shape.wholes(labels, lobes, grouping.sets, micrograph)
    set_shape.clusters(grouping.sets, contacts.pairs, contacts.gap)
    masks.from_labels(labels, iou, iou)


if __name__ == "__main__":
    compile_later_steps()
