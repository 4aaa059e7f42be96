"""One METEOR for all tests of a process: it takes seconds of two cores to start."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cache

import pytest

from tasks.evaluation.metrics.meteor import Meteor, running_meteor

DAY_S = 24 * 3600
KeptMeteor = Callable[[], AbstractContextManager[Meteor]]


@pytest.fixture(scope="session", autouse=True)
def kept_meteor() -> Iterator[KeptMeteor]:
    """The METEOR that reports of this process are scored with, unless a test changes where Java is found."""
    search_path = os.environ.get("PATH")
    # Java ends with the thread that started it, and a flow's thread ends with the flow
    with ExitStack() as stack, ThreadPoolExecutor(1) as starter, pytest.MonkeyPatch.context() as patch:

        @cache
        def started() -> Meteor:
            return stack.enter_context(running_meteor(1000, limit_s=DAY_S))

        @contextmanager
        def kept(captions: int = 1000) -> Iterator[Meteor]:
            if os.environ.get("PATH") == search_path:
                yield starter.submit(started).result()
            else:
                with running_meteor(captions) as meteor:
                    yield meteor

        patch.setattr("tasks.evaluation.evaluate_answers.running_meteor", kept)
        yield kept
