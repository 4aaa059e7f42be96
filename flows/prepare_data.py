"""Flow prepare-data: data folder -> verified, filtered, split sets."""

from pathlib import Path

from prefect import flow

from tasks.data.steps import draw_sample_data, look_at_data, prepare_sets
from tasks.records import DatasetRef
from tasks.settings import ExperimentConfig
from tasks.steps import make
from tasks.storage.runs import open_run


@flow(name="prepare-data", flow_run_name="prepare-data-{name}")
def prepare_data_flow(config: ExperimentConfig, name: str, workspace: Path) -> DatasetRef:
    """Filter and split the data folder; without one, draw the embedded sample first.

    Args:
        config: The experiment.
        name: The run's name.
        workspace: The folder that all runs share.
    """
    run = open_run(config, name, workspace)
    root = config.data.root or draw_sample_data(config.data.sample, run.workspace.sample_data)
    raw = look_at_data(root, config.data.sources)
    return make(prepare_sets, run.folder.sets, run.folder.superseded, raw=raw, config=config.data, log=run.folder.log)
