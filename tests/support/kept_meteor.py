"""One METEOR for all tests of a process: it takes seconds of two cores to start."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cache

import pytest

from tasks.evaluation.metrics.meteor import Meteor, running_meteor

KeptMeteor = Callable[[], AbstractContextManager[Meteor]]


@pytest.fixture(scope="session", autouse=True)
def kept_meteor() -> Iterator[KeptMeteor]:
    """The METEOR that reports of this process are scored with, unless a test changes where Java is found."""
    search_path = os.environ.get("PATH")
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:

        @cache
        def started() -> Meteor:
            return stack.enter_context(running_meteor(1000, limit_s=3600))

        @contextmanager
        def kept(captions: int = 1000) -> Iterator[Meteor]:
            if os.environ.get("PATH") == search_path:
                yield started()
            else:
                with running_meteor(captions) as meteor:
                    yield meteor

        patch.setattr("tasks.evaluation.evaluate_answers.running_meteor", kept)
        yield kept
