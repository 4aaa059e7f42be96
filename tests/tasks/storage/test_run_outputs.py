"""A run's results are copied to the store."""

from pathlib import Path

from tasks.records import CheckpointRef
from tasks.settings import ExperimentConfig
from tasks.storage.folder_upload import archive_folder
from tasks.storage.run_outputs import archive_results
from tasks.storage.runs import Run, open_run


def final_checkpoint(run: Run) -> CheckpointRef:
    final = run.folder.training / "final"
    final.mkdir(parents=True)
    (final / "adapter").write_text("weights")
    return CheckpointRef(path=final, sha256="final", run="demo", step=7)


def test_archive_results_skips_a_checkpoint_that_training_has_archived(tmp_path: Path) -> None:
    run = open_run(ExperimentConfig(), "demo", tmp_path)
    checkpoint = final_checkpoint(run)
    (tmp_path / "with_optimizer").mkdir()
    (tmp_path / "with_optimizer" / "optimizer").write_text("states")
    archive_folder(tmp_path / "with_optimizer", run.store(), "demo/checkpoints/checkpoint-7")
    for place in (run.folder.sets, run.folder.merged, run.folder.root / "predictions", run.folder.reports):
        place.mkdir(parents=True)
    archive_results(run, run.folder.sets, checkpoint, run.store())
    assert run.store().read_text("demo/checkpoints/checkpoint-7/optimizer") == "states"


def test_archive_results_stores_every_result_as_a_complete_folder(tmp_path: Path) -> None:
    run = open_run(ExperimentConfig(), "demo", tmp_path)
    places = [run.folder.sets, run.folder.merged, run.folder.predictions("final"), run.folder.report("final")]
    for place in places:
        place.mkdir(parents=True)
        (place / "file").write_text(place.name)
    archive_results(run, run.folder.sets, final_checkpoint(run), run.store())
    names = {Path(key).parent.as_posix() for key in run.store().sizes_below("") if key.endswith("MANIFEST.json")}
    assert names == {"demo/data", "demo/merged", "demo/predictions", "demo/reports", "demo/checkpoints/checkpoint-7"}
    assert run.store().read_text("demo/reports/final/file") == "final"


def test_archive_results_stores_a_log_again_when_it_has_grown(tmp_path: Path) -> None:
    run = open_run(ExperimentConfig(), "demo", tmp_path)
    checkpoint = final_checkpoint(run)
    for place in (run.folder.sets, run.folder.merged, run.folder.root / "predictions", run.folder.reports):
        place.mkdir(parents=True)
    run.folder.log.parent.mkdir()
    kept = []
    for text in ("one\n", "one\n", "one\ntwo\n"):
        run.folder.log.write_text(text)
        archive_results(run, run.folder.sets, checkpoint, run.store())
        kept.append(sorted(run.store().read_text(key) or "" for key in run.store().sizes_below("demo/logs")))
    assert kept == [["one\n"], ["one\n"], ["one\n", "one\ntwo\n"]]
