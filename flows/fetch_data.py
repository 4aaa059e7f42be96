"""Flow fetch-data: the instruction file and the images of the sources -> a data folder, laid out."""

from pathlib import Path

from flows.cancelling import flow
from tasks.data.fetching.all_sources import ByHandNeeded
from tasks.data.fetching.request import FetchRequest, SourceImages
from tasks.data.steps import ask_for_archives, fetch_sources
from tasks.settings import DataConfig


@flow(name="fetch-data", flow_run_name="fetch-data-{root}")
def fetch_data_flow(root: Path, config: DataConfig, endpoint_url: str | None = None) -> list[SourceImages]:
    """Have all sources in a data folder; one that only a person can fetch suspends the run with a form.

    Args:
        root: The data folder.
        config: Which sources, and what you have or know of them.
        endpoint_url: Address of an S3-compatible server, for s3 addresses.
    """
    return fetch_data(root, config, endpoint_url)


def fetch_data(root: Path, config: DataConfig, endpoint_url: str | None) -> list[SourceImages]:
    """Fetch within the flow that calls: only a run of its own can be suspended."""
    request = FetchRequest(
        root=root.absolute(), archives=config.archives, mirrors=config.mirrors, endpoint_url=endpoint_url
    )
    found = fetch_sources(config.sources, request)
    if any(source.by_hand for source in found):
        given = ask_for_archives(ByHandNeeded(found))
        request = request.model_copy(update={"archives": {**request.archives, **given}})
        found = fetch_sources(config.sources, request)
    if any(source.by_hand for source in found):
        raise ByHandNeeded(found)
    return found
