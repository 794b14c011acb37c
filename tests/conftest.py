"""What several test modules share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# The first example of a property may compile a kernel; no property is a timed test.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

PUBLISHED = "SAMCOLLOID_PUBLISHED"


@pytest.fixture(scope="session")
def published() -> Path:
    """The folder that holds the published micrographs and results, as ``SAMCOLLOID_PUBLISHED`` names it."""
    return Path(os.environ[PUBLISHED])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where no folder is named there is nothing to run those tests on; they are counted as deselected."""
    if PUBLISHED in os.environ:
        return
    without = [item for item in items if "published" not in getattr(item, "fixturenames", ())]
    if len(without) < len(items):
        config.hook.pytest_deselected(items=[item for item in items if item not in without])
        items[:] = without
