"""What several test modules share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

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
