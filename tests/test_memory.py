"""What a process holds is measured, and a batch gets a part of what is free."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from samcolloid_edge import SettingsError
from samcolloid_edge.engine import memory

told = pytest.mark.skipif(memory.resident() is None, reason="this system does not tell")


@told
def test_what_a_process_holds_grows_and_shrinks_with_its_arrays() -> None:
    before = memory.resident()
    held = np.ones(50_000_000, np.uint8)
    with_array = memory.resident()
    assert 45e6 < with_array - before < 60e6
    del held
    assert memory.resident() - before < 10e6


@told
def test_it_is_what_psutil_says() -> None:
    import psutil

    assert memory.resident() == pytest.approx(psutil.Process().memory_info().rss, rel=0.05)
    if memory.available() is not None:
        assert memory.available() == pytest.approx(psutil.virtual_memory().available, rel=0.2)


def test_linux_and_windows_tell_what_is_free() -> None:
    if sys.platform in ("linux", "win32"):
        assert memory.available() > 1e6


@pytest.mark.parametrize(("free", "expected"), [(None, 160e6), (64e9, 160e6), (1.28e9, 160e6), (800e6, 100e6)])
def test_a_batch_gets_an_eighth_of_what_is_free_and_not_more_than_is_of_use(monkeypatch, free, expected) -> None:
    monkeypatch.delenv(memory.BATCH_MEMORY, raising=False)
    monkeypatch.setattr(memory, "available", lambda: free)
    assert memory.budget() == expected


def test_it_can_be_given(monkeypatch) -> None:
    monkeypatch.setenv(memory.BATCH_MEMORY, "1.5")
    assert memory.budget() == 1.5e6


@pytest.mark.parametrize("text", ["", "0", "-1", "nan", "inf", "1 GB"])
def test_nonsense_is_refused(monkeypatch, text) -> None:
    monkeypatch.setenv(memory.BATCH_MEMORY, text)
    with pytest.raises(SettingsError, match=r"SAMCOLLOID_BATCH_MEMORY must be a number of MB above 0"):
        memory.budget()
