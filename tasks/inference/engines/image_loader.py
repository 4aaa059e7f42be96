"""Images prepared in threads while the model computes; each is read once for all that ask for it in a row."""

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

from tasks.errors import DataError

Read = TypeVar("Read")


class ImageFeed(Generic[Read]):
    """Reads images by name with `workers` threads; decoding and scaling leave Python's lock."""

    def __init__(self, read: Callable[[str], Read], workers: int):
        self._read, self._pool = read, ThreadPoolExecutor(workers, thread_name_prefix="images")
        self._coming: dict[str, Future[Read]] = {}

    def expect(self, names: Iterable[str]) -> None:
        """Begin to read what will be taken soon."""
        for name in names:
            if name not in self._coming:
                self._coming[name] = self._pool.submit(self._read, name)

    def take(self, name: str) -> Read | DataError:
        """An image, or the error that stands for an unreadable one, so that the others go on."""
        self.expect([name])
        try:
            return self._coming.pop(name).result()
        except DataError as error:
            return error
