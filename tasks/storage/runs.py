"""A run's folder in the workspace and its name in the store."""

import re
from pathlib import Path

from pydantic import ValidationError

from tasks.errors import ConfigError
from tasks.files import digest_of, write_text
from tasks.paths import EXPERIMENT, RunFolder, Workspace
from tasks.records import Value
from tasks.settings import ArchiveConfig, ExperimentConfig, StoreConfig, without_locations
from tasks.storage.object_store import Credentials, ObjectStore, open_store
from tasks.storage.owner import is_guest
from tasks.yaml_text import parse_yaml, read_yaml_file

MADE_FROM = "# made from "
RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Run(Value):
    """The locations and archive settings of one run; `store_name` is its folder in the store.

    `resume` decides about an unfinished training in the folder: one with the same settings is continued, and one with
    other settings is moved aside (None) or refused (True); with False the same settings are refused.
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
        """Whether checkpoints are copied to the store."""
        return self.archive.checkpoints

    def store(self, credentials: Credentials | None = None) -> ObjectStore:
        """Open the store of this run; `credentials` None: boto3's usual chain."""
        return open_store(self.store_uri, config=self.store_config, credentials=credentials)


def require_run_name(name: str) -> None:
    """Raise ConfigError unless a name can be a folder on every file system and in every store."""
    if not RUN_NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} cannot name a run: use letters, digits, dots, dashes and underscores, 100 at most, and begin "
            "with a letter or a digit."
        )


def open_run(config: ExperimentConfig, name: str, workspace: Path) -> Run:
    """Write experiment.yaml in the run's folder; repeating it changes nothing.

    An experiment.yaml with other settings is moved to `superseded`. A guest, next to the run's owner, writes nothing.
    The name in the store is the one last claimed.
    """
    require_run_name(name)
    root = Workspace(workspace.absolute())
    folder, text = root.run(name), config.of_first_machine().as_yaml()
    if is_guest(folder):
        return _run_of(config, name, root)
    if folder.experiment.exists() and (old := folder.experiment.read_text(encoding="utf-8")) != text:
        write_text(folder.superseded / f"experiment-{digest_of(old)[:8]}.yaml", old)
    write_text(folder.experiment, text)
    return _run_of(config, name, root)


def reopen_run(name: str, workspace: Path) -> Run | None:
    """A run that was opened before, by its name in the workspace or in the store; None if it does not exist.

    Nothing is written: any number of processes may call it at the same time.
    """
    root = Workspace(workspace.absolute())
    for folder in (root.run(name), *map(RunFolder, sorted(root.runs.glob("*")))):
        if folder.root.name != name and _claimed_name(folder) != name:
            continue
        if folder.experiment.is_file():
            return _run_of(read_experiment(folder), folder.root.name, root)
    return None


def read_experiment(folder: RunFolder) -> ExperimentConfig:
    """The configuration of a run that was opened before; raises ConfigError if its file is damaged."""
    try:
        return ExperimentConfig.model_validate(read_yaml_file(folder.experiment))
    except ValidationError as error:
        fault = error.errors()[0]
        raise ConfigError(
            f"{folder.experiment} is not valid ({'.'.join(map(str, fault['loc']))}: {fault['msg']}): "
            "write it again with `rsvlm config`."
        ) from None


def _run_of(config: ExperimentConfig, name: str, workspace: Workspace) -> Run:
    return Run(
        name=name,
        workspace_root=workspace.root,
        store_uri=config.store.uri or workspace.store.as_uri(),
        store_config=config.store,
        store_name=_claimed_name(workspace.run(name)),
        archive=config.archive,
    )


def _claimed_name(folder: RunFolder) -> str:
    """A run's name in the store: the one last claimed, or else its own name."""
    return folder.store_name.read_text(encoding="utf-8").strip() if folder.store_name.exists() else folder.root.name


def claim_store(run: Run, made_from: str, store: ObjectStore) -> Run:
    """Claim a name in the store for the results of this run's settings and `made_from`, a digest of all other inputs.

    If the run's name is taken by results of other settings or inputs, a longer name is claimed: nothing stored is
    overwritten. Settings of the store and of retention do not count.
    """
    text = run.folder.experiment.read_text(encoding="utf-8") + f"{MADE_FROM}{made_from}\n"
    name = _claim(store, run.name, text)
    if name != run.store_name or not run.folder.store_name.exists():
        write_text(run.folder.store_name, name + "\n")
    return run.model_copy(update={"store_name": name})


def _claim(store: ObjectStore, name: str, text: str) -> str:
    """Claim and return the run's name in the store, with a digest appended if other work has taken the name."""
    work = _work(text)
    if store.create_text(f"{name}/{EXPERIMENT}", text) or _work(store.read_text(f"{name}/{EXPERIMENT}") or "") == work:
        return name
    longer = f"{name}-{digest_of(work)[:8]}"
    store.create_text(f"{longer}/{EXPERIMENT}", text)
    return longer


def _work(text: str) -> list[object]:
    """What identifies the work of a stored experiment.yaml: its settings without locations, and `made_from`."""
    try:
        settings = parse_yaml(text)
    except ValueError:
        settings = None
    if not isinstance(settings, dict) or not all(isinstance(section, dict) for section in settings.values()):
        # damaged or empty: it equals no other text
        settings = {"text": {"text": text}}
    _before, _mark, made_from = text.rpartition(MADE_FROM)
    return [without_locations(settings), made_from.strip()]
