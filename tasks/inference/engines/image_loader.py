"""Read and prepare images in threads while the model computes."""

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor

from tasks.errors import DataError
from tasks.model.inputs import ImageInputs


class ImageLoader:
    """Reads images in threads while the model computes; decoding and scaling release Python's global lock."""

    def __init__(self, read: Callable[[str], ImageInputs], workers: int):
        self._read, self._pool = read, ThreadPoolExecutor(workers, thread_name_prefix="images")
        self._pending: dict[str, Future[ImageInputs]] = {}

    def preload(self, names: Iterable[str]) -> None:
        """Start to read images that will be taken soon."""
        for name in names:
            if name not in self._pending:
                self._pending[name] = self._pool.submit(self._read, name)

    def take(self, name: str) -> ImageInputs | DataError:
        """Return an image, or the error of an unreadable one, so that the other images can go on."""
        self.preload([name])
        try:
            return self._pending.pop(name).result()
        except DataError as error:
            return error
