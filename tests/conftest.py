"""Settings of all tests, and the fixtures that tests of several packages share."""

import gc
import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from support.browser import browser, chromium
from support.chat_server import chat_server
from support.clock import clock
from support.kept_meteor import kept_meteor
from support.postgres import postgres
from support.prefect_servers import prefect_server
from support.s3_servers import s3_address
from support.tiny_families import tiny_family_dir
from support.toy_models import lively_model_dir, tiny_model_dir, tuned_pair
from support.unsynced_files import unsynced_files

__all__ = [
    "browser",
    "chat_server",
    "chromium",
    "clock",
    "kept_meteor",
    "lively_model_dir",
    "postgres",
    "prefect_server",
    "s3_address",
    "tiny_family_dir",
    "tiny_model_dir",
    "tuned_pair",
    "unsynced_files",
]

# Deterministic examples: a failure on one machine is a failure on every machine, however slow it is.
settings.register_profile("house", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")

# With more threads, toy models became a hundred times slower on a busy machine; child processes inherit this.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first: two workers that share the files then end at nearly the same time."""
    weights: Counter[Path] = Counter()
    for item in items:
        weights[item.path] += 100 if item.get_closest_marker("slow") else 1
    items.sort(key=lambda item: (-weights[item.path], item.path))


def pytest_collection_finish() -> None:
    """Leave what the collection has imported out of garbage collections: each training runs a full one."""
    gc.freeze()
