"""Work at several items at once, each in a thread that takes it all the way from place to place.

There are few places, and an item keeps its place until it has the next: items wait in line, not in memory. Ctrl-C is a
wish here, not an exception. It ends the work at what is not computed yet; what is being written is finished.
"""

from __future__ import annotations

import contextlib
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final, Generic, Literal, TypeVar

T = TypeVar("T")
Place = Literal["read", "compute", "finish", "write"]
TICK: Final = 0.1
"""Seconds until a stop is noticed."""
GRACE: Final = 0.5
"""Seconds that threads have to come to the end of a step after a stop."""


class Stopped(BaseException):
    """Leaves the work at an item for which nobody waits any longer."""


class Turn:
    """The place that an item has."""

    def __init__(self, places: Mapping[Place, threading.Semaphore], over: Mapping[Place, threading.Event]) -> None:
        self._places, self._over = places, over
        self._place: Place | None = None
        self.since = 0.0
        """When it took its place, of ``time.perf_counter``."""

    def take(self, place: Place) -> None:
        """Wait for a place, then leave the one before. Raises Stopped where that place is not to be had any longer."""
        if place != self._place:
            self._places[place].acquire()
            if not self._over[place].is_set():
                self.leave()
                self._place, self.since = place, time.perf_counter()
                return
            self._places[place].release()
        if self._over[place].is_set():
            raise Stopped

    def leave(self) -> None:
        """Have no place."""
        if self._place is not None:
            self._places[self._place].release()
            self._place = None


class Overlap(Generic[T]):
    """``work`` at items 0 … ``count`` − 1: one is read, ``workers`` are computed, one is finished, one is written."""

    def __init__(self, count: int, work: Callable[[int, Turn], T], workers: int = 1) -> None:
        """``work`` takes an item that has its place to be read, and takes its further places itself."""
        self.stop = threading.Event()
        """Set it to end the work."""
        self.is_stuck = False
        """Whether something still ran a little after a stop."""
        self._count, self._work, self._items = count, work, iter(range(count))
        room: dict[Place, int] = {"read": 1, "compute": workers, "finish": 1, "write": 1}
        self._places = {place: threading.Semaphore(n) for place, n in room.items()}
        self._closed = threading.Event()
        self._over = {place: self.stop if place in ("read", "compute") else self._closed for place in room}
        self._done: queue.SimpleQueue[tuple[int, T]] = queue.SimpleQueue()
        # Daemons, as a model that runs cannot be told to stop.
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(min(count, workers + 2))]

    def results(self) -> Iterator[T]:
        """What ``work`` gave, in the order of the items; after a stop only of those that are done."""
        for thread in self._threads:
            thread.start()
        done: dict[int, T] = {}
        told = 0
        while told < self._count and not self.stop.is_set():
            with contextlib.suppress(queue.Empty):
                item, result = self._done.get(timeout=TICK)
                done[item] = result
            while told in done:
                yield done.pop(told)
                told += 1
        if told < self._count:
            self._close()
            while not self._done.empty():
                item, result = self._done.get()
                done[item] = result
        yield from (done[item] for item in sorted(done))

    def _close(self) -> None:
        """See to it that nothing is written after this."""
        until = time.monotonic() + GRACE
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        self._closed.set()
        with self._places["write"]:
            self.is_stuck = any(thread.is_alive() for thread in self._threads)

    def _run(self) -> None:
        turn = Turn(self._places, self._over)
        try:
            while True:
                turn.take("read")
                item = next(self._items, None)
                if item is None:
                    return
                self._done.put((item, self._work(item, turn)))
                turn.leave()
        except (Stopped, KeyboardInterrupt):
            self.stop.set()
        finally:
            turn.leave()


@contextlib.contextmanager
def ctrl_c_sets(stop: threading.Event) -> Iterator[None]:
    """Within this, Ctrl-C sets ``stop`` and does nothing else, however often it is pressed."""
    before = signal.signal(signal.SIGINT, lambda *_: stop.set())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
