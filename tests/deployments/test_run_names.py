"""A run with an empty name in the form, and one whose name is in use; on a real server."""

from typing import Any

import pytest
from support.prefect_servers import quicker_database

from deployments.configuration import default_name
from deployments.preset_step import form_values
from tasks.settings import ExperimentConfig
from tasks.storage.owner import Owner, owned

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1500),
    pytest.mark.parametrize("orchestra", [quicker_database()], indirect=True, scope="module"),
]
DEPLOYED_WITH = ()


@pytest.fixture(scope="module")
def sets(orchestra: Any, small: Any) -> str:
    """A deployment of prepare-data with default settings and an empty name."""
    there = orchestra.ask("GET", "deployments/name/prepare-data/llava-1.5-7b-lora: prepare the data")
    assert there["parameters"]["name"] == ""
    keys = ("flow_id", "entrypoint", "parameter_openapi_schema", "work_pool_name", "job_variables", "path")
    parameters = {**there["parameters"], "config": form_values(ExperimentConfig.model_validate(small("")["config"]))}
    like = {key: there[key] for key in keys}
    orchestra.ask("POST", "deployments/", name="sets: prepare the data", parameters=parameters, **like)
    return "prepare-data/sets: prepare the data"


def test_an_unnamed_run_gets_the_name_of_its_preset_with_a_digest_of_changed_settings(
    orchestra: Any, small: Any, sets: str
) -> None:
    other = small("", seed=9)["config"]
    runs = [orchestra.start(sets), orchestra.start(sets, config=other)]
    assert [orchestra.ended(run) for run in runs] == ["COMPLETED", "COMPLETED"]
    # the digest that the command line gives
    digest = default_name("demo", ExperimentConfig.model_validate(other)).removeprefix("demo")
    names = ["sets", f"sets{digest}"]
    assert digest and [orchestra.run_folder(name).experiment.is_file() for name in names] == [True, True]
    titles = [orchestra.ask("GET", f"flow_runs/{run}")["name"] for run in runs]
    assert titles == [f"{name}: prepare-data" for name in names]


def test_the_form_cannot_start_a_run_that_a_terminal_owns(orchestra: Any, sets: str) -> None:
    terminal = Owner(user="ana", host="lab", pid=1, since="today")
    with owned(orchestra.run_folder("sets"), terminal, print):
        run = orchestra.start(sets)
        assert orchestra.ended(run) == "FAILED"
    said = orchestra.ask("GET", f"flow_runs/{run}")["state"]["message"]
    assert f"The run sets in {orchestra.workspace} is owned by ana on lab (process 1, since today): wait" in said
