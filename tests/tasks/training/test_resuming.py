"""A training goes on from the newest whole checkpoint of its own, here or in the store, or says why not."""

from collections.abc import Callable
from pathlib import Path
from shutil import rmtree

import pytest

from tasks.errors import OccupiedError, TrainingError
from tasks.files import read_json
from tasks.manifests import write_manifest
from tasks.paths import COMPLETE, FINAL
from tasks.storage.checkpoints.paths import archive_checkpoint
from tasks.storage.local_store import LocalStore
from tasks.training.checkpoints import mark_complete, whole_checkpoints
from tasks.training.job import TrainingOrder
from tasks.training.resuming import fetch_newer, newest_checkpoint

OrderFor = Callable[..., TrainingOrder]
STATES = {"optimizer.pt": "moments", "scheduler.pt": "rates"}


def checkpoint(order: TrainingOrder, step: int, states: dict[str, str] = STATES) -> Path:
    """A complete checkpoint of an order, with a text in each file."""
    folder = order.out / f"checkpoint-{step}"
    for name, text in {"adapter_model.safetensors": f"weights {step}", **states}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    mark_complete(folder, step, order.fingerprint)
    return folder


def shards(step: int, processes: int) -> dict[str, str]:
    names = (f"global_step{step}/zero_pp_rank_{rank}_mp_rank_00_optim_states.pt" for rank in range(processes))
    return {**dict.fromkeys(names, "moments"), "latest": f"global_step{step}"}


def archived(order: TrainingOrder, tmp_path: Path, *steps: int, states: dict[str, str] = STATES) -> LocalStore:
    """A store that holds checkpoints of an order as run `run`, and nothing of them left on the disk."""
    store = LocalStore(tmp_path / "store")
    for step in steps:
        archive_checkpoint(checkpoint(order, step, states), store, "run", step)
    rmtree(order.out)
    return store


def test_the_newest_whole_checkpoint_is_taken(order_for: OrderFor, tmp_path: Path) -> None:
    order = order_for(tmp_path / "training", resume=True)
    for step in (2, 4, 10):
        checkpoint(order, step)
    (order.out / "checkpoint-10" / COMPLETE).unlink()
    assert newest_checkpoint(order) == order.out / "checkpoint-4"


def test_an_order_that_is_not_to_resume_begins_anew(order_for: OrderFor, tmp_path: Path) -> None:
    order = order_for(tmp_path / "training")
    checkpoint(order, 2)
    assert newest_checkpoint(order) is None


def test_a_checkpoint_of_other_settings_is_refused(order_for: OrderFor, tmp_path: Path) -> None:
    checkpoint(order_for(tmp_path / "training", seed=99), 2)
    with pytest.raises(OccupiedError, match=r"trained with other data or settings: choose another --name"):
        newest_checkpoint(order_for(tmp_path / "training", resume=True))


def test_a_checkpoint_without_the_optimisers_state_is_refused(order_for: OrderFor, tmp_path: Path) -> None:
    order = order_for(tmp_path / "training", resume=True)
    checkpoint(order, 2, {"scheduler.pt": "rates"})
    with pytest.raises(TrainingError, match=r"lacks optimizer\.pt"):
        newest_checkpoint(order)


@pytest.mark.parametrize(("processes", "accumulation"), [(4, 2), (2, 4), (1, 8)])
def test_without_deepspeed_any_number_of_processes_goes_on(
    order_for: OrderFor, tmp_path: Path, processes: int, accumulation: int
) -> None:
    made = order_for(tmp_path / "training", nproc_per_node=2, gradient_accumulation_steps=4)
    settings = {"nproc_per_node": processes, "gradient_accumulation_steps": accumulation}
    assert newest_checkpoint(order_for(made.out, resume=True, **settings)) is None
    checkpoint(made, 2)
    assert newest_checkpoint(order_for(made.out, resume=True, **settings)) == made.out / "checkpoint-2"


def test_more_samples_a_step_are_another_training(order_for: OrderFor, tmp_path: Path) -> None:
    checkpoint(order_for(tmp_path / "training", nproc_per_node=2), 2)
    with pytest.raises(OccupiedError, match=r"trained with other data or settings: choose another --name"):
        newest_checkpoint(order_for(tmp_path / "training", resume=True, nproc_per_node=4))


def test_deepspeeds_states_are_for_as_many_processes_as_made_them(order_for: OrderFor, tmp_path: Path) -> None:
    made = order_for(tmp_path / "training", resume=True, deepspeed="zero3", nproc_per_node=2)
    place = checkpoint(made, 2, shards(2, 2))
    assert newest_checkpoint(made) == place
    fewer = order_for(made.out, resume=True, deepspeed="zero3", gradient_accumulation_steps=2)
    with pytest.raises(TrainingError, match="states of 2 processes, which cannot be divided among 1: go on with 2"):
        newest_checkpoint(fewer)


@pytest.mark.parametrize("states", [STATES, shards(4, 2)])
def test_where_nothing_is_left_the_stores_newest_is_fetched(
    order_for: OrderFor, tmp_path: Path, states: dict[str, str]
) -> None:
    order = order_for(tmp_path / "training", resume=True)
    store = archived(order, tmp_path, 2, 4, states=states)
    assert fetch_newer(order, store, ("run-of-another-name", "run")) == order.out / "checkpoint-4"
    assert whole_checkpoints(order.out) == [order.out / "checkpoint-4"]
    assert (order.out / "checkpoint-4" / "adapter_model.safetensors").read_text() == "weights 4"


@pytest.mark.parametrize(("local", "fetched"), [(3, True), (4, False), (5, False)])
def test_the_store_is_taken_from_where_it_holds_a_newer_one(
    order_for: OrderFor, tmp_path: Path, local: int, fetched: bool
) -> None:
    order = order_for(tmp_path / "training", resume=True)
    store = archived(order, tmp_path, 4)
    checkpoint(order, local)
    assert (fetch_newer(order, store, ("run",)) is not None) == fetched


def test_checkpoints_of_another_training_are_left_in_the_store(order_for: OrderFor, tmp_path: Path) -> None:
    store = archived(order_for(tmp_path / "training", seed=99), tmp_path, 4)
    assert fetch_newer(order_for(tmp_path / "training", resume=True), store, ("run",)) is None


def test_a_stored_checkpoint_that_lost_a_file_is_passed_over(order_for: OrderFor, tmp_path: Path) -> None:
    order = order_for(tmp_path / "training", resume=True)
    store = archived(order, tmp_path, 2, 4)
    (store.root / "run" / "checkpoints" / "checkpoint-4" / "optimizer.pt").unlink()
    assert fetch_newer(order, store, ("run",)) == order.out / "checkpoint-2"


def test_an_archive_without_the_optimisers_state_is_refused_only_where_it_is_all_there_is(
    order_for: OrderFor, tmp_path: Path
) -> None:
    order = order_for(tmp_path / "training", resume=True)
    store = archived(order, tmp_path, 4, states={})
    with pytest.raises(TrainingError, match=r"archive\.optimizer_states"):
        fetch_newer(order, store, ("run",))
    checkpoint(order, 2)
    assert fetch_newer(order, store, ("run",)) is None


def test_for_a_finished_training_nothing_is_fetched(order_for: OrderFor, tmp_path: Path) -> None:
    order = order_for(tmp_path / "training", resume=True)
    store = archived(order, tmp_path, 4)
    (order.out / FINAL).mkdir(parents=True)
    write_manifest(order.out / FINAL, order.fingerprint)
    assert fetch_newer(order, store, ("run",)) is None
    assert read_json(order.out / FINAL / "MANIFEST.json")["fingerprint"] == order.fingerprint
