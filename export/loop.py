"""One loop for every training: seeded, resumable at any moment, its learning rate set by the hours trained."""

from __future__ import annotations

import contextlib
import copy
import ctypes
import itertools
import math
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import torch
from torch import Tensor, nn

T = TypeVar("T")
KEPT_EVERY: Final = 180.0
"""Seconds between two writings of the state."""
QUICK_IN_HALF: Final = "AVX512" in torch.backends.cpu.get_cpu_capability()
"""bfloat16 halves the time of a step on processors with AVX-512; others emulate it, five times slower than fp32."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Learning rate: warm-up, constant, and a cosine down to 2 % over the last hours before the end.

    Training goes on beyond an end by giving a later one: only what was trained at the constant rate is then built upon.
    """

    peak: float
    until: float
    """Hours of the cores that the training has, see ``run``, over all runs that went on from each other."""
    fall: float
    """Hours before ``until`` in which the rate falls."""
    warm: int = 200
    """Steps from nothing to the peak."""

    def rate(self, step: int, seconds: float) -> float:
        """The learning rate of a step."""
        fallen = (seconds / 3600 - (self.until - self.fall)) / self.fall if self.fall > 0 else 0.0
        cosine = 0.02 + 0.49 * (1 + math.cos(math.pi * min(1.0, max(0.0, fallen))))
        return self.peak * min(1.0, (step + 1) / self.warm) * cosine


def keep_memory() -> None:
    """Let this process keep what it has been given: glibc hands large blocks back at once and gets them zeroed anew.

    With AVX2 that takes a third of a step. Other C libraries stay as they are.
    """
    most_mapped, trim_threshold = -4, -1  # M_MMAP_MAX and M_TRIM_THRESHOLD of malloc.h
    with contextlib.suppress(OSError, TypeError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(most_mapped, 0)
        library.mallopt(trim_threshold, 2**31 - 1)


def _serve_training() -> None:
    """A renderer that shares the cores evenly makes all threads of a step wait for the one it displaced.

    It ends with the training, also where that is killed.
    """
    if hasattr(os, "nice"):
        os.nice(15)
    training = multiprocessing.parent_process()
    if training is not None:
        threading.Thread(target=_end_with, args=(training,), daemon=True).start()


def _end_with(process: Any) -> None:
    process.join()
    os._exit(0)


def examples(make: Callable[[int], T], first: int, pool: ProcessPoolExecutor, ahead: int = 6) -> Iterator[T]:
    """``make(first)``, ``make(first + 1)`` …, rendered ahead in other processes."""
    waiting = [pool.submit(make, first + i) for i in range(ahead)]
    for seed in itertools.count(first + ahead):
        done = waiting.pop(0)
        waiting.append(pool.submit(make, seed))
        yield done.result()


def run(
    folder: Path, net: nn.Module, make: Callable[[int], T], losses: Callable[[Any, T], Mapping[str, Tensor]],
    first: int, schedule: Schedule, *, keep: float, stage: float = math.inf, most_steps: int | None = None,
    notes: Mapping[str, Any] | None = None,
) -> None:  # fmt: skip
    """Train until the schedule's end, going on from the newest state in ``folder``, which is written every 3 minutes.

    Step i learns from ``make(first + i)``; of ``losses(net, example)`` those named with a leading ``+`` are summed,
    the others are figures to print. ``keep`` bounds the memory of the running average of the weights, a state of its
    own as ``stage-….pt`` every ``stage`` hours; ``notes`` are kept with each state, of one that goes on those it has.
    Hours are the processor's time divided by torch's threads: a process that is stopped for a while, or shares its
    cores, does not count what it did not get. One that is ended loses 3 minutes at most.
    """
    average = copy.deepcopy(net)
    optimiser = torch.optim.AdamW(net.parameters(), lr=schedule.peak, weight_decay=0.01, fused=True)
    state_file, step, seconds = folder / "state.pt", 0, 0.0
    folder.mkdir(parents=True, exist_ok=True)
    if state_file.exists():
        state = torch.load(state_file, weights_only=True)
        net.load_state_dict(state["net"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        step, seconds = state["step"], state["seconds"]
        notes = {name: state[name] for name in notes or {}}
    saved, before = time.monotonic(), time.process_time()
    running: dict[str, float] = {}
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=_serve_training) as pool:
        for item in examples(make, first + step, pool):
            for group in optimiser.param_groups:
                group["lr"] = schedule.rate(step, seconds)
            terms = losses(net, item)
            optimiser.zero_grad(set_to_none=True)
            torch.stack([value for name, value in terms.items() if name.startswith("+")]).sum().backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimiser.step()
            step += 1
            with torch.no_grad():
                share = 1 - min(keep, 1 - 1 / (step / 4 + 1))
                torch._foreach_lerp_(list(average.parameters()), list(net.parameters()), share)
            for name, value in terms.items():
                if math.isfinite(number := float(value.detach())):
                    running[name] = 0.98 * running.get(name, number) + 0.02 * number
            reached, now = seconds, time.process_time()
            seconds, before = seconds + (now - before) / torch.get_num_threads(), now
            if step % 50 == 0:
                figures = " ".join(f"{k.lstrip('+')} {v:.3f}" for k, v in running.items())
                rate = schedule.rate(step, seconds)
                print(f"step {step} {seconds:.0f} s rate {rate:.1e} {figures}", flush=True)
            over = seconds >= 3600 * schedule.until or step == most_steps
            kept = {"average": average.state_dict(), "step": step, "seconds": seconds, **(notes or {})}
            if seconds // (3600 * stage) > reached // (3600 * stage):
                _write(kept, folder / f"stage-{seconds / 3600:06.2f}h.pt")
            if over or time.monotonic() - saved > KEPT_EVERY:
                saved = time.monotonic()
                _write({**kept, "net": net.state_dict(), "optimiser": optimiser.state_dict()}, state_file)
            if over:
                return


def _write(state: dict[str, Any], path: Path) -> None:
    temporary = path.with_suffix(".tmp")
    torch.save(state, temporary)
    temporary.replace(path)
