"""Folders elsewhere that replace imagenes/SOURCE (data.image_root): image paths, and a view of all images.

The view is a folder of links, since trainers, engines and reports open images below one folder.
"""

from collections.abc import Mapping
from pathlib import Path
from shutil import rmtree
from uuid import uuid4

from tasks.errors import DataError
from tasks.files import digest_of
from tasks.image_paths import image_file, image_key

ImageRoot = Mapping[str, Path]


def require_folders(image_root: ImageRoot) -> None:
    """Raise DataError for the first folder that does not exist."""
    for source, folder in image_root.items():
        if not folder.is_dir():
            raise DataError(
                f"data.image_root.{source} is {folder}, which is not a folder: give the folder that replaces "
                f"imagenes/{source}."
            )


def relative_image(image: str, image_root: ImageRoot, unnamed: str) -> str:
    """The path of an image as records have it, SOURCE/..., for an absolute path inside a source's folder.

    A path without a folder gets the name of its source, if that has a folder. Any other path is returned unchanged.
    """
    key = image_key(image)
    if key.startswith("/"):
        found = [
            (len(folder), source, key[len(folder) :])
            for source, path in image_root.items()
            for folder in {f"{str(each).rstrip('/')}/" for each in (path.absolute(), path.resolve())}
            if key.startswith(folder)
        ]
        # the innermost of nested folders
        return f"{max(found)[1]}/{max(found)[2]}" if found else image
    return f"{unnamed}/{key}" if unnamed in image_root and "/" not in key and key not in (".", "..") else image


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
