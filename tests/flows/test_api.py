"""flows.api: the results of runs and evaluations, and what importing it does."""

import subprocess
import sys
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings
from support.locations import REPO
from support.scored_runs import ScoredRuns

from flows.api import compare, evaluate, list_runs, load_config, load_run, run, sweep
from tasks.errors import ConfigError


def printed_by(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], cwd=REPO, capture_output=True, text=True, check=True).stdout


def test_a_run_is_read_by_its_name_or_folder(scored_runs: ScoredRuns) -> None:
    by_name = load_run("second", scored_runs.workspace)
    by_folder = load_run(scored_runs.workspace / "runs" / "second")
    assert by_name.folder == by_folder.folder and by_name.state == "complete"
    assert by_name.config.training.lora_r == 16
    assert set(list_runs(scored_runs.workspace).index) >= {"first", "second"}


def test_a_run_that_does_not_exist_is_refused_with_similar_names(scored_runs: ScoredRuns) -> None:
    with pytest.raises(ConfigError, match=r"no run secnd in .*: did you mean second\?"):
        load_run("secnd", scored_runs.workspace)
    with pytest.raises(ConfigError, match="list_runs shows the runs"):
        load_run("zzz", scored_runs.workspace)


def test_models_are_compared_by_run_or_evaluation(scored_runs: ScoredRuns) -> None:
    first, second = (load_run(name, scored_runs.workspace) for name in ("first", "second"))
    by_name = compare("first", "second", workspace=scored_runs.workspace)
    assert by_name.equals(compare(first, second))
    several = compare(first.model("base"), first, second)
    assert several.loc[("second", "LR", "accuracy")].verdict == "better"
    assert list(several.index.get_level_values("model").unique()) == ["first", "second"]
    with pytest.raises(ConfigError, match="needs two models"):
        compare(first)


def test_a_comparison_takes_what_the_command_takes(scored_runs: ScoredRuns) -> None:
    place = scored_runs.workspace
    by_folder = compare(place / "runs" / "first", "first/base", workspace=place)
    assert list(by_folder.index.get_level_values("model").unique()) == ["first/base"]
    with pytest.raises(ConfigError, match=r"did you mean first\?"):
        compare("frst", "second", workspace=place)


def test_a_name_that_is_none_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot name a run"):
        run("demo", name="../outside", workspace=tmp_path / "workspace")
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_does_not_answer_is_reported_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "sweep.yaml").write_text("preset: demo\nsearch: {training.lora_r: [8]}\n", encoding="utf-8")
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:1/api"}):
        with pytest.raises(ConfigError, match="No Prefect server answers"):
            run("demo", workspace=tmp_path / "workspace")
        with pytest.raises(ConfigError, match="No Prefect server answers"):
            sweep(tmp_path / "sweep.yaml", workspace=tmp_path / "workspace")
    assert not (tmp_path / "workspace").exists()


def test_answers_are_scored_and_the_report_is_read(scored_runs: ScoredRuns, tmp_path: Path) -> None:
    test_set = scored_runs.data.sets / "filtered_test.json"
    found = evaluate(test_set, test_set, tmp_path / "report", images=scored_runs.data.images)
    assert found.scores.loc["LR", "score"] == 1 and found.answers.right.all()
    assert found.report().path == tmp_path / "report" / "report.html"
    assert found.scores["base"].isna().all()


def test_a_configuration_is_changed_without_changing_the_first() -> None:
    config = load_config("demo")
    assert config.with_(**{"training.lora_r": 16}).training.lora_r == 16 != config.training.lora_r
    assert len(repr(config)) < 800 and "gallery" not in repr(config)


def test_importing_it_loads_neither_prefect_nor_pandas_nor_torch() -> None:
    program = "import sys, flows.api; print({'prefect', 'pandas', 'torch', 'optuna'} & set(sys.modules))"
    assert printed_by(program).strip() == "set()"


@pytest.mark.parametrize("imports", ["import prefect, flows.api", "import flows.api, prefect"])
def test_prefect_is_prepared_whatever_is_imported_first(imports: str) -> None:
    setting = "prefect.settings.get_current_settings().server.ephemeral.startup_timeout_seconds"
    assert printed_by(f"{imports}\nprint({setting})").strip() == "120"
