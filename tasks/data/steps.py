"""The data stage as Prefect tasks: fetch the sources, draw the sample and the lessons, prepare the sets."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import httpx
from prefect import get_run_logger, pause_flow_run, suspend_flow_run, task
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.exceptions import PrefectException
from prefect.input import RunInput
from prefect.runtime import deployment
from prefect.settings import PREFECT_API_URL
from pydantic import Field, create_model

from tasks.content_keys import SHARED_CODE
from tasks.data.duplicates.audit import audit_file
from tasks.data.fetching.all_sources import ByHandNeeded, obtain_all
from tasks.data.fetching.progress import shown_progress
from tasks.data.fetching.request import FetchRequest, SourceImages
from tasks.data.preparing import RawData, prepare_dataset
from tasks.data.set_files import set_paths
from tasks.data.synthetic.dataset import draw_lessons, draw_sample
from tasks.data.token_counts import count_tokens
from tasks.files import digest_of, write_json
from tasks.manifests import atomic_folder, content_digest, folder_digest, write_manifest
from tasks.orchestration.caching import step
from tasks.records import DatasetRef, FolderRef, ModelRef
from tasks.settings import Address, DataConfig, SampleConfig

WAIT_FOR_PERSON_S = 7 * 24 * 3600
LOOK_AGAIN_S = 5


@step("draw-sample", ignore=["out"], code=SHARED_CODE)
def draw_sample_folder(config: SampleConfig, out: Path) -> FolderRef:
    """Draw the embedded sample data folder at `out`."""
    draw_sample(out, config)
    return FolderRef(path=out, sha256=folder_digest(out))


@step("draw-lessons", ignore=["out"], code=SHARED_CODE)
def draw_lessons_folder(scenes: int, image_size: int, seed: int, out: Path) -> FolderRef:
    """Draw the data folder at `out` on which the toy base model is pre-trained."""
    draw_lessons(out, scenes, image_size, seed)
    return FolderRef(path=out, sha256=folder_digest(out))


@step("prepare-sets", ignore=["out"], code=SHARED_CODE)
def prepare_sets(data: RawData, config: DataConfig, out: Path) -> DatasetRef:
    """Filter, split and reduce a data folder's records into the folder `out`."""
    return prepare_dataset(data.raw, data.images, config, out)


@step("count-tokens", ignore=["out"], code=SHARED_CODE)
def count_tokens_of_sets(dataset: DatasetRef, base: ModelRef, out: Path) -> FolderRef:
    """Count the tokens of a dataset's sets by a model's tokenizer into the folder `out`."""
    with atomic_folder(out) as part:
        write_json(part / "tokens.json", count_tokens(dataset.path, base.path, dataset.unnamed_source))
        manifest = write_manifest(part, digest_of([dataset.content, base.content]))
    return FolderRef(path=out, sha256=content_digest(manifest))


@step("audit-sets", ignore=["out"], code=SHARED_CODE)
def audit_sets(dataset: DatasetRef, out: Path) -> FolderRef:
    """Find what of a dataset's test stands in its training, and write the report into the folder `out`."""
    with atomic_folder(out) as part:
        audit_file(set_paths(dataset.path)["test"], dataset.images, part, dataset.path)
        manifest = write_manifest(part, dataset.content)
    return FolderRef(path=out, sha256=content_digest(manifest))


@task(name="fetch-sources")
def fetch_sources(sources: Sequence[str], request: FetchRequest) -> list[SourceImages]:
    """Have the instruction file and the images of all sources in the data folder."""
    with shown_progress(_progress_artifacts()) as progress_of:
        found = obtain_all(sources, request, progress_of)
    for source in found:
        expected = f" of {source.expected}" if source.expected else ""
        get_run_logger().info("%s: %d%s images, %d missing", source.name, source.images, expected, source.missing)
    return found


def _progress_artifacts() -> Callable[[str, float], None]:
    """A function that keeps one progress artifact a file."""
    artifacts: dict[str, UUID] = {}

    def tell(name: str, share: float) -> None:
        # a server that is away for a moment must not end a download of hours
        with suppress(PrefectException, httpx.HTTPError, OSError):
            if name not in artifacts:
                created = create_progress_artifact(
                    0.0, key=f"fetch-{name.lower().replace(' ', '-')}", description=f"Download of {name}"
                )
                artifacts[name] = UUID(str(created))
            update_progress_artifact(artifacts[name], share * 100)

    return tell


def ask_for_archives(needed: ByHandNeeded) -> dict[str, str]:
    """Wait until a person has said, in the form of this flow run, where the archives are that only a person can fetch.

    A run of a deployment is suspended and leaves its machine meanwhile; any other is paused. Raises ByHandNeeded
    without a server that would show the form.
    """
    if not PREFECT_API_URL.value():
        raise needed
    get_run_logger().warning("%s\nThe run waits: resume it in Prefect and say where these are.", needed)
    fields = {str(source.name): (Address, Field(description=source.by_hand)) for source in needed.sources}
    form = create_model("ArchivePlaces", __base__=RunInput, **fields)  # type: ignore[call-overload]
    if deployment.id:
        given = suspend_flow_run(wait_for_input=form, timeout=WAIT_FOR_PERSON_S, key="archives")
    else:
        given = pause_flow_run(
            wait_for_input=form, timeout=WAIT_FOR_PERSON_S, poll_interval=LOOK_AGAIN_S, key="archives"
        )
    return {name: str(getattr(given, name)) for name in fields}
