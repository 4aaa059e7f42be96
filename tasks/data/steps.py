"""The data stage as Prefect tasks: draw the sample and the lessons, prepare the sets."""

from pathlib import Path

from tasks.data.preparing import RawData, prepare_dataset
from tasks.data.sample_scenes import draw_lessons, draw_sample
from tasks.records import DatasetRef, FolderRef
from tasks.settings import DataConfig, SampleConfig
from tasks.steps import step
from tasks.storage.manifests import folder_digest


@step(name="draw-sample")
def draw_sample_folder(config: SampleConfig, out: Path) -> FolderRef:
    """Draw the embedded sample data folder at `out`."""
    draw_sample(out, config)
    return FolderRef(path=out, sha256=folder_digest(out))


@step(name="draw-lessons")
def draw_lessons_folder(scenes: int, image_size: int, seed: int, out: Path) -> FolderRef:
    """Draw the data folder at `out` on which the toy base model is pre-trained."""
    draw_lessons(out, scenes, image_size, seed)
    return FolderRef(path=out, sha256=folder_digest(out))


@step(name="prepare-sets")
def prepare_sets(data: RawData, config: DataConfig, out: Path) -> DatasetRef:
    """Filter, split and reduce a data folder's records into the folder `out`."""
    return prepare_dataset(data.raw, data.images, config, out)
