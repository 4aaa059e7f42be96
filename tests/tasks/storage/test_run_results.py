"""A run's results stand in the store as the run's folder has them."""

from pathlib import Path

from tasks.settings import ExperimentConfig
from tasks.storage.run_results import archive_results
from tasks.storage.runs import open_run


def test_every_result_is_a_whole_folder_of_the_store(tmp_path: Path) -> None:
    run = open_run(ExperimentConfig(), "demo", tmp_path)
    places = [run.folder.sets, run.folder.merged, run.folder.predictions("final"), run.folder.report("final")]
    for place in places:
        place.mkdir(parents=True)
        (place / "file").write_text(place.name)
    archive_results(run, run.folder.sets)
    names = {Path(key).parent.as_posix() for key in run.store().sizes_below("") if key.endswith("MANIFEST.json")}
    assert names == {"demo/data", "demo/merged", "demo/predictions", "demo/reports"}
    assert run.store().read_text("demo/reports/final/file") == "final"
