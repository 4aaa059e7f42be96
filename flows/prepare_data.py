"""Flow prepare-data: fetch what is lacking -> verify, filter, split -> the sets."""

from pathlib import Path

from flows.cancelling import flow
from flows.fetch_data import fetch_data
from flows.owning import make_shared, owns_run, run_title, taking_turns
from tasks.data.preparing import choose_sets_folder, raw_data
from tasks.data.steps import draw_sample_folder, prepare_sets
from tasks.orchestration.caching import make
from tasks.records import DatasetRef
from tasks.settings import ExperimentConfig
from tasks.storage.runs import open_run


@flow(name="prepare-data", flow_run_name=run_title("prepare-data-{name}"), persist_result=False)
@owns_run
def prepare_data_flow(config: ExperimentConfig, name: str = "", workspace: Path = Path("workspace")) -> DatasetRef:
    """Filter and split the data folder, fetched first where data.fetch says so; without one, draw the sample.

    Args:
        config: The experiment.
        name: The run's name; empty: the deployment's, with a digest where the settings are others than its own.
        workspace: The folder that all runs share.
    """
    run = open_run(config, name, workspace)
    if config.data.root and config.data.fetch:
        fetch_data(config.data.root, config.data, config.store.endpoint_url)
    root = (
        config.data.root or make_shared(draw_sample_folder, run.workspace.sample_data, config=config.data.sample).path
    )
    data = raw_data(root.absolute(), config.data)
    # two runs must not both find ROOT/sets free; the lock is the workspace's, as ROOT may be read-only
    with taking_turns(run.workspace.root / "sets"):
        place = choose_sets_folder(data, run.folder.sets)
        # in the user's data folder nothing is moved aside
        superseded = run.folder.superseded if place == run.folder.sets else None
        return make(prepare_sets, place, superseded, data=data, config=config.data)
