"""What several test modules share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Browser, chromium
from hypothesis import settings

# The first example of a property may compile a kernel; no property is a timed test.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

PUBLISHED = "SAMCOLLOID_PUBLISHED"


@pytest.fixture(scope="session")
def published() -> Path:
    """The folder that holds the published micrographs and results, as ``SAMCOLLOID_PUBLISHED`` names it."""
    return Path(os.environ[PUBLISHED])


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A headless Chromium."""
    opened = Browser(tmp_path_factory.mktemp("browser"))
    yield opened
    opened.driver.quit()


def missing() -> dict[str, str]:
    """What some tests run on and this machine lacks: fixture → in words."""
    lacking = {} if PUBLISHED in os.environ else {"published": f"the published micrographs ({PUBLISHED} is not set)"}
    return lacking if chromium() else lacking | {"browser": "a browser (no chromium and chromedriver in the path)"}


def pytest_report_header() -> list[str]:
    return [f"without {what}: the tests that need it are deselected" for what in missing().values()]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where something is missing there is nothing to run those tests on; they are counted as deselected."""
    lacking = missing()
    without = [item for item in items if not lacking.keys() & set(getattr(item, "fixturenames", ()))]
    if len(without) < len(items):
        config.hook.pytest_deselected(items=[item for item in items if item not in without])
        items[:] = without
