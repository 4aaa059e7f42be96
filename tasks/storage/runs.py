"""A run's places: its folder in the workspace and its name in the store."""

import re
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tasks.errors import ConfigError
from tasks.files import digest_of, write_text
from tasks.paths import EXPERIMENT, RunFolder, Workspace
from tasks.records import Value
from tasks.settings import ArchiveConfig, ExperimentConfig, StoreConfig, without_locations
from tasks.storage.credentials import Credentials
from tasks.storage.object_store import ObjectStore, open_store
from tasks.storage.owner import is_guest
from tasks.yaml_text import parse_yaml, read_yaml_file

MADE_FROM = "# made from "
RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Run(Value):
    """Where one run works and keeps what it made; `store_name` is its folder in the store.

    `resume` says what becomes of an unfinished training there: one of the same settings goes on, and one of other
    settings is set aside (None) or refused (True); with False the same settings are refused.
    """

    name: str
    workspace_root: Path
    store_uri: str
    store_config: StoreConfig = StoreConfig()
    store_name: str
    archive: ArchiveConfig = ArchiveConfig()
    resume: bool | None = None

    @property
    def folder(self) -> RunFolder:
        return self.workspace.run(self.name)

    @property
    def workspace(self) -> Workspace:
        return Workspace(self.workspace_root)

    @property
    def archives(self) -> bool:
        """Whether its checkpoints go to the store."""
        return self.archive.checkpoints

    def store(self, credentials: Credentials | None = None) -> ObjectStore:
        """The store of this run, opened; `credentials` None: those of boto3's usual chain."""
        return open_store(self.store_uri, config=self.store_config, credentials=credentials)


def require_run_name(name: str) -> None:
    """Raise ConfigError for a name that could not be a run's folder, on any disk and in any store."""
    if not RUN_NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} cannot name a run: use letters, digits, dots, dashes and underscores, 100 at most, and begin "
            "with a letter or a digit."
        )


def open_run(config: ExperimentConfig, name: str, workspace: Path) -> Run:
    """Write experiment.yaml in the run's folder; twice is the same as once.

    An experiment.yaml of other settings is kept below `superseded`; who works beside the run's owner writes nothing.
    The name in the store is the one last claimed.
    """
    require_run_name(name)
    places = Workspace(workspace.absolute())
    folder, text = places.run(name), config.of_first_machine().as_yaml()
    if is_guest(folder):
        return _run_of(config, name, places)
    if folder.experiment.exists() and (old := folder.experiment.read_text(encoding="utf-8")) != text:
        write_text(folder.superseded / f"experiment-{digest_of(old)[:8]}.yaml", old)
    write_text(folder.experiment, text)
    return _run_of(config, name, places)


def reopen_run(name: str, workspace: Path) -> Run | None:
    """A run that was opened before, by its name in the workspace or in the store; None where there is none.

    Nothing is written: many may look at the same time.
    """
    places = Workspace(workspace.absolute())
    for folder in (places.run(name), *map(RunFolder, sorted((places.root / "runs").glob("*")))):
        if folder.root.name != name and _claimed_name(folder) != name:
            continue
        if folder.experiment.is_file():
            return _run_of(read_config(folder), folder.root.name, places)
    return None


def read_config(folder: RunFolder) -> ExperimentConfig:
    """The configuration of a run that was opened before; raises ConfigError where its file is damaged."""
    try:
        return ExperimentConfig.model_validate(read_yaml_file(folder.experiment))
    except ValidationError as error:
        fault = error.errors()[0]
        raise ConfigError(
            f"{folder.experiment} is not as a run wrote it ({'.'.join(map(str, fault['loc']))}: {fault['msg']}): "
            "write it again with `rsvlm config`."
        ) from None


def _run_of(config: ExperimentConfig, name: str, places: Workspace) -> Run:
    return Run(
        name=name,
        workspace_root=places.root,
        store_uri=config.store.uri or places.store.as_uri(),
        store_config=config.store,
        store_name=_claimed_name(places.run(name)),
        archive=config.archive,
    )


def _claimed_name(folder: RunFolder) -> str:
    """A run's name in the store: the one last claimed, or else its own."""
    return folder.store_name.read_text(encoding="utf-8").strip() if folder.store_name.exists() else folder.root.name


def claim_store(run: Run, made_from: str, store: ObjectStore) -> Run:
    """Take a name in the store for what this run makes of its settings and `made_from`, a digest of all else.

    Where the run's name holds what was made otherwise, a longer name is taken: nothing stored is overwritten. How the
    store is reached and what stays there changes nothing that is made.
    """
    text = run.folder.experiment.read_text(encoding="utf-8") + f"{MADE_FROM}{made_from}\n"
    name = _claim(store, run.name, text)
    if name != run.store_name or not run.folder.store_name.exists():
        write_text(run.folder.store_name, name + "\n")
    return run.model_copy(update={"store_name": name})


def _claim(store: ObjectStore, name: str, text: str) -> str:
    """The run's name in the store; with a digest where something else has taken the name already."""
    work = _work(text)
    if store.create_text(f"{name}/{EXPERIMENT}", text) or _work(store.read_text(f"{name}/{EXPERIMENT}") or "") == work:
        return name
    longer = f"{name}-{digest_of(work)[:8]}"
    store.create_text(f"{longer}/{EXPERIMENT}", text)
    return longer


def _work(text: str) -> list[Any]:
    """What a stored experiment.yaml says about the work: its settings but for locations, and what it is of."""
    try:
        settings = parse_yaml(text)
    except ValueError:
        settings = None
    if not isinstance(settings, dict) or not all(isinstance(section, dict) for section in settings.values()):
        # damaged, or nothing: it is the work of no other text
        settings = {"text": text}
    _before, _mark, made_from = text.rpartition(MADE_FROM)
    return [without_locations(settings), made_from.strip()]
