"""Flow prepare-data: download missing files -> verify, filter, split -> the sets."""

from pathlib import Path

from flows.decorators import flow, owns_run, run_title
from flows.fetch_data import fetch_data
from flows.shared import make_shared, taking_turns
from tasks.data.preparing import choose_sets_folder, raw_data
from tasks.data.steps import draw_sample_folder, prepare_sets
from tasks.orchestration.caching import make
from tasks.records import DatasetRef
from tasks.settings import ExperimentConfig
from tasks.storage.runs import open_run


@flow(name="prepare-data", flow_run_name=run_title("{name}: prepare-data"), persist_result=False)
@owns_run
def prepare_data_flow(config: ExperimentConfig, name: str = "", workspace: Path = Path("workspace")) -> DatasetRef:
    """Filter and split the data folder, downloading it first if data.fetch is on; without a folder, draw sample data.

    Args:
        config: The experiment.
        name: The run's name. Empty: the preset's name, with a digest appended if settings were changed.
        workspace: Folder shared by all runs.
    """
    run = open_run(config, name, workspace)
    if config.data.root and config.data.fetch:
        fetch_data(config.data.root, config.data, config.store.endpoint_url)
    root = (
        config.data.root or make_shared(draw_sample_folder, run.workspace.sample_data, config=config.data.sample).path
    )
    data = raw_data(root.absolute(), config.data, run.workspace.image_views)
    # two runs must not both find ROOT/sets free; the lock is in the workspace, since ROOT may be read-only
    with taking_turns(run.workspace.root / "sets"):
        sets = choose_sets_folder(data, run.folder.sets)
        # in the user's data folder nothing is moved aside
        superseded = run.folder.superseded if sets == run.folder.sets else None
        return make(prepare_sets, sets, superseded, data=data, config=config.data)
