"""The data stage as Prefect tasks: fetch sources, draw the sample and the lessons, prepare, view and audit sets."""

from collections.abc import Callable, Sequence
from pathlib import Path

from prefect import get_run_logger, pause_flow_run, suspend_flow_run, task
from prefect.input import RunInput
from prefect.runtime import deployment
from prefect.settings import PREFECT_API_URL
from pydantic import Field, create_model

from tasks.content_keys import SHARED_CODE
from tasks.data.dataset_views import view_few_images, view_validation
from tasks.data.duplicates.audit import audit_file
from tasks.data.fetching.all_sources import ByHandNeeded, fetch_all, progress_bars
from tasks.data.fetching.request import FetchRequest, SourceImages
from tasks.data.preparing import RawData, prepare_dataset
from tasks.data.set_files import set_paths
from tasks.data.set_statistics import count_tokens
from tasks.data.synthetic.dataset import draw_lessons, draw_sample
from tasks.files import digest_of, write_json
from tasks.manifests import atomic_folder, content_digest, folder_digest, write_manifest
from tasks.orchestration.artifacts import ProgressArtifact
from tasks.orchestration.caching import step
from tasks.progress import Progress, report
from tasks.records import DatasetRef, FolderRef, ModelRef
from tasks.settings import Address, DataConfig, SampleConfig

WAIT_FOR_PERSON_S = 7 * 24 * 3600
POLL_INTERVAL_S = 5


@step("draw-sample", ignore=["out"], code=SHARED_CODE)
def draw_sample_folder(config: SampleConfig, out: Path) -> FolderRef:
    """Draw the embedded sample data folder at `out`."""
    draw_sample(out, config)
    return FolderRef(path=out, sha256=folder_digest(out))


@step("draw-lessons", ignore=["out"], code=SHARED_CODE)
def draw_lessons_folder(scenes: int, image_size: int, seed: int, out: Path) -> FolderRef:
    """Draw the data folder at `out` that the toy base model is pre-trained on."""
    draw_lessons(out, scenes, image_size, seed)
    return FolderRef(path=out, sha256=folder_digest(out))


@step("prepare-sets", ignore=["out"], code=SHARED_CODE)
def prepare_sets(data: RawData, config: DataConfig, out: Path) -> DatasetRef:
    """Filter, split and reduce the records of a data folder into the folder `out`."""
    return prepare_dataset(data.raw, data.images, config, out)


@step("count-tokens", ignore=["out"], code=SHARED_CODE)
def count_tokens_of_sets(dataset: DatasetRef, base: ModelRef, out: Path) -> FolderRef:
    """Count the tokens of a dataset's sets by a model's tokenizer, and write them into the folder `out`."""
    with atomic_folder(out) as part:
        write_json(part / "tokens.json", count_tokens(dataset.path, base.path, dataset.unnamed_source))
        manifest = write_manifest(part, digest_of([dataset.content, base.content]))
    return FolderRef(path=out, sha256=content_digest(manifest))


@step("view-validation", ignore=["out"], code=SHARED_CODE)
def view_validation_step(dataset: DatasetRef, out: Path) -> DatasetRef:
    """Write a dataset whose test set is the validation set of `dataset`."""
    return view_validation(dataset, out)


@step("view-few-images", ignore=["out"], code=SHARED_CODE)
def view_few_images_step(dataset: DatasetRef, count: int, seed: int, out: Path) -> DatasetRef:
    """Write a dataset whose test set has only `count` images of each source."""
    return view_few_images(dataset, count, seed, out)


@step("audit-sets", ignore=["out"], code=SHARED_CODE)
def audit_sets(dataset: DatasetRef, out: Path) -> FolderRef:
    """Find leakage of a dataset's test set into its training set, and write the report into the folder `out`."""
    with atomic_folder(out) as part:
        audit_file(set_paths(dataset.path)["test"], dataset.images, part, dataset.path)
        manifest = write_manifest(part, dataset.content)
    return FolderRef(path=out, sha256=content_digest(manifest))


@task(name="fetch-sources")
def fetch_sources(sources: Sequence[str], request: FetchRequest) -> list[SourceImages]:
    """Fetch the instruction file and the images of all sources into the data folder."""
    with progress_bars(_progress_artifacts()) as progress_of:
        found = fetch_all(sources, request, progress_of)
    for source in found:
        expected = f" of {source.expected}" if source.expected else ""
        get_run_logger().info("%s: %d%s images, %d missing", source.name, source.images, expected, source.missing)
    return found


def _progress_artifacts() -> Callable[[str, float], None]:
    """A function that updates one progress artifact per file."""
    artifacts: dict[str, ProgressArtifact] = {}

    def report_share(name: str, share: float) -> None:
        report(Progress(round(100 * share), 100, f"% of {name}", part=name))
        artifact = artifacts.setdefault(name, ProgressArtifact("fetch", name))
        artifact.show(100 * share, f"Download of {name}")

    return report_share


def ask_for_archives(needed: ByHandNeeded) -> dict[str, str]:
    """Wait until a user enters the paths of manually downloaded archives in a form of this flow run.

    The run of a deployment is suspended and releases its machine; any other run is paused. Raises ByHandNeeded where no
    server can show the form.
    """
    if not PREFECT_API_URL.value():
        raise needed
    get_run_logger().warning("%s\nThe run waits: resume it in Prefect and enter the paths of these.", needed)
    fields = {str(source.name): (Address, Field(description=source.by_hand)) for source in needed.sources}
    form = create_model("ArchivePlaces", __base__=RunInput, **fields)  # type: ignore[call-overload]
    if deployment.id:
        given = suspend_flow_run(wait_for_input=form, timeout=WAIT_FOR_PERSON_S, key="archives")
    else:
        given = pause_flow_run(
            wait_for_input=form, timeout=WAIT_FOR_PERSON_S, poll_interval=POLL_INTERVAL_S, key="archives"
        )
    return {name: str(getattr(given, name)) for name in fields}
