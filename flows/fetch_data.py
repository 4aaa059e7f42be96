"""Flow fetch-data: the sources' instruction file and images -> a data folder."""

from pathlib import Path

from flows.decorators import flow
from tasks.data.fetching.all_sources import ByHandNeeded
from tasks.data.fetching.request import SourceImages, request_of
from tasks.data.steps import ask_for_archives, fetch_sources
from tasks.settings import DataConfig


@flow(name="fetch-data", flow_run_name="{root}: fetch-data")
def fetch_data_flow(root: Path, config: DataConfig, endpoint_url: str | None = None) -> list[SourceImages]:
    """Download all sources into a data folder; a source that needs a manual download suspends the run with a form.

    Args:
        root: The data folder.
        config: The sources, and the archives and mirrors to take them from.
        endpoint_url: URL of an S3-compatible server, for s3 addresses. Empty: AWS.
    """
    return fetch_data(root, config, endpoint_url)


def fetch_data(root: Path, config: DataConfig, endpoint_url: str | None) -> list[SourceImages]:
    """Download within the calling flow, since only the flow run that was started can be suspended.

    Raises ByHandNeeded if sources that need a manual download are still missing.
    """
    request = request_of(root, config, endpoint_url)
    # the images of the others are elsewhere
    sources = [name for name in config.sources if name not in config.image_root]
    found = fetch_sources(sources, request)
    if any(source.by_hand for source in found):
        given = ask_for_archives(ByHandNeeded(found))
        request = request.model_copy(update={"archives": {**request.archives, **given}})
        found = fetch_sources(sources, request)
    if any(source.by_hand for source in found):
        raise ByHandNeeded(found)
    return found
