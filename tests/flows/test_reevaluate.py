"""Re-evaluation of a very small run: unchanged models are skipped, a lower score raises the alarm."""

from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from types import SimpleNamespace

import pytest
from support.locations import REPO

from tasks.errors import ConfigError
from tasks.files import read_json, read_json_lines, write_json
from tasks.paths import Workspace
from tasks.reevaluating.history import Evaluation, append, read_history
from tasks.settings import EvaluationConfig, ExperimentConfig

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def archived(
    prefect_server: Path, small_experiment: Callable[..., ExperimentConfig], tmp_path_factory: pytest.TempPathFactory
) -> SimpleNamespace:
    """A finished run in its store, and its first re-evaluation. Ten test images per source are too few."""
    from flows.experiment import experiment_flow
    from flows.reevaluate import reevaluate_flow

    workspace = tmp_path_factory.mktemp("workspace")
    config = small_experiment(data={"sample": {"scenes": 160, "image_size": 48}})
    result = experiment_flow(config, "watched", workspace)
    first = reevaluate_flow("watched", workspace=workspace)
    run = Workspace(workspace).run("watched")
    return SimpleNamespace(workspace=workspace, config=config, result=result, first=first, run=run)


def store_of(archived: SimpleNamespace):  # type: ignore[no-untyped-def]
    from tasks.storage.runs import reopen_run

    run = reopen_run("watched", archived.workspace)
    assert run
    return run.store()


def keep_better_report(archived: SimpleNamespace, folder: Path) -> None:
    """Write a history in which the final model once had every answer right."""
    from tasks.evaluation.evaluate_answers import EvaluationFiles, evaluate
    from tasks.storage.folder_upload import archive_folder

    test_set = archived.result.dataset.path / "filtered_test.json"
    answers = copytree(archived.run.predictions("final"), folder / "answers")
    perfect = read_json(answers / "final.json")
    for answered, record in zip(perfect, read_json(test_set), strict=True):
        truth = {turn["value"]: after["value"] for turn, after in zip(*halves(record), strict=True)}
        for asked, answer in zip(*halves(answered), strict=True):
            answer["value"] = truth[asked["value"]]
    write_json(answers / "final.json", perfect)
    files = EvaluationFiles(data=test_set, predictions=answers / "final.json")
    report = evaluate(files, folder / "final", EvaluationConfig.model_validate(archived.config.evaluation.model_dump()))
    archive_folder(report.path, store_of(archived), "watched/evaluations/better")
    append(
        store_of(archived),
        "watched",
        Evaluation(
            time="2026-01-01T00:00:00+00:00",
            model="final",
            step=None,
            key="other code",
            protocol="",
            report="watched/evaluations/better",
            scores={},
            changes={},
            verdict="tie",
        ),
    )


def halves(record: dict) -> tuple[list, list]:  # type: ignore[type-arg]
    return record["conversations"][::2], record["conversations"][1::2]


def test_the_first_evaluation_finds_the_stored_models_and_compares_with_the_experiment(
    archived: SimpleNamespace,
) -> None:
    found = {each.model: (each.step, each.verdict) for each in archived.first}
    assert found == {"base": (None, "tie"), "final": (None, "tie"), "newest": (2, "first")}
    assert all(set(each.scores) == {"NWPU", "RSICD", "LR", "DOTA"} for each in archived.first)


def test_unchanged_models_are_not_evaluated_again(archived: SimpleNamespace) -> None:
    from flows.reevaluate import reevaluate_flow

    log = archived.run.log.read_text()
    before = len(read_history(store_of(archived), "watched"))
    assert reevaluate_flow("watched", models=("base", "newest"), workspace=archived.workspace) == []
    assert archived.run.log.read_text() == log
    assert len(read_history(store_of(archived), "watched")) == before


def test_a_model_with_a_lower_score_raises_the_alarm(archived: SimpleNamespace, tmp_path: Path) -> None:
    import httpx
    from prefect.events.worker import EventsWorker
    from prefect.settings import PREFECT_API_URL

    from flows.reevaluate import reevaluate_flow

    keep_better_report(archived, tmp_path)
    (worse,) = reevaluate_flow("watched", models=("final",), workspace=archived.workspace)
    assert worse.verdict == "worse"
    assert set(worse.dropped) >= {"NWPU", "RSICD"}
    EventsWorker.drain_all()
    wanted = {"filter": {"event": {"name": ["rsvlm.score.dropped"]}}, "limit": 50}
    events: list[dict] = []  # type: ignore[type-arg]
    # the server writes events down a moment after it has taken them; the suite's time limit ends a vain wait
    while len(events) < len(worse.dropped):
        events = httpx.post(f"{PREFECT_API_URL.value()}/events/filter", json=wanted).json()["events"]
    assert {event["resource"]["prefect.resource.id"] for event in events} == {"rsvlm.run.watched"}
    told = {event["payload"]["source"]: event["payload"] for event in events}
    assert set(told) == set(worse.dropped)
    change = worse.changes["NWPU"]
    assert told["NWPU"]["kind"] == "previous" == worse.alarms["NWPU"]
    assert told["NWPU"]["interval"] == pytest.approx(change["ci95"])
    assert told["NWPU"]["difference"] == pytest.approx(change["difference"]) and change["difference"] < 0


def test_the_history_is_a_table_and_a_picture(archived: SimpleNamespace) -> None:
    lines = read_json_lines(archived.run.root / "history" / "history.jsonl")
    assert [line["number"] for line in lines] == list(range(1, len(lines) + 1))
    picture = (archived.run.root / "history" / "history.svg").read_text()
    assert picture.startswith("<svg") and "newest: NWPU CIDEr" in picture


def test_a_missing_run_is_reported_in_one_sentence(archived: SimpleNamespace) -> None:
    from flows.reevaluate import reevaluate_flow

    with pytest.raises(ConfigError, match="There is no run nowhere"):
        reevaluate_flow("nowhere", workspace=archived.workspace)


def test_the_example_of_the_docs_runs(archived: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    docs = (REPO / "docs" / "reevaluation.md").read_text(encoding="utf-8")
    program = docs.split("```python\n")[1].split("```")[0].replace('"demo"', '"watched"')
    monkeypatch.chdir(archived.workspace.parent)
    before = len(read_history(store_of(archived), "watched"))
    exec(compile(program.replace('"workspace"', repr(archived.workspace.name)), "reevaluation.md", "exec"), {})
    assert len(read_history(store_of(archived), "watched")) == before
