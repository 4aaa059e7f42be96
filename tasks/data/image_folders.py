"""Folders elsewhere that replace imagenes/SOURCE (data.image_root): image paths, and a view of all images.

The view is a folder of links, since trainers, engines and reports open images below one folder.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from shutil import rmtree
from uuid import uuid4

from tasks.errors import DataError
from tasks.files import digest_of
from tasks.image_paths import image_file, image_key

ImageRoot = Mapping[str, Path]
# pairs of the beginning of a path and its source
Prefixes = Sequence[tuple[str, str]]


def require_folders(image_root: ImageRoot) -> None:
    """Raise DataError for the first folder that does not exist."""
    for source, folder in image_root.items():
        if not folder.is_dir():
            raise DataError(
                f"data.image_root.{source} is {folder}, which is not a folder: give the folder that replaces "
                f"imagenes/{source}."
            )


def prefixes_of(image_root: ImageRoot) -> Prefixes:
    """The beginnings of absolute paths inside the folders, with and without links, and their sources; longest first."""
    found = {
        (f"{str(path).rstrip('/')}/", source)
        for source, folder in image_root.items()
        for path in (folder.absolute(), folder.resolve())
    }
    # of nested folders, the innermost decides
    return sorted(found, key=lambda pair: (-len(pair[0]), pair))


def relative_image(image: str, prefixes: Prefixes, unnamed: str) -> str:
    """The path of an image as records have it, SOURCE/..., for an absolute path inside a source's folder.

    A path without a folder gets the name of its source, if that has a folder. Any other path is returned unchanged.
    """
    key = image_key(image)
    if key.startswith("/"):
        found = ((prefix, source) for prefix, source in prefixes if key.startswith(prefix))
        return next((f"{source}/{key.removeprefix(prefix)}" for prefix, source in found), image)
    is_name = "/" not in key and key not in (".", "..")
    return f"{unnamed}/{key}" if is_name and any(source == unnamed for _, source in prefixes) else image


def located_image(images: Path, image_root: ImageRoot, image: str) -> Path:
    """The file of an image in the images folder or in its source's folder; raises DataError as image_file does."""
    source, slash, rest = image_key(image).partition("/")
    if slash and source in image_root:
        return image_file(image_root[source].absolute(), rest)
    return image_file(images, image)


def linked_images(images: Path, image_root: ImageRoot, views: Path) -> Path:
    """The folder that all image paths start from: `images` or, with folders elsewhere, a view of links in `views`.

    The same folders have the same view, which is complete once it has its name. Raises DataError for a missing folder.
    """
    if not image_root:
        return images
    require_folders(image_root)
    inside = [path for path in images.iterdir() if not path.name.startswith(".")] if images.is_dir() else []
    targets = {path.name: str(path.absolute()) for path in inside}
    targets |= {source: str(folder.absolute()) for source, folder in image_root.items()}
    view = views / digest_of(targets)[:16]
    if not view.is_dir():
        _link(targets, view)
    return view


def _link(targets: Mapping[str, str], view: Path) -> None:
    part = view.with_name(f".{view.name}.{uuid4().hex[:8]}.part")
    part.mkdir(parents=True)
    try:
        for name, target in targets.items():
            (part / name).symlink_to(target)
        part.rename(view)
    except OSError:
        # another process has made the same view
        if not view.is_dir():
            raise
    finally:
        rmtree(part, ignore_errors=True)
