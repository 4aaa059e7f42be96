"""What a run speaks to: the object store, Weights & Biases, what answers, and Java for the scores."""

from pathlib import Path
from urllib.parse import unquote, urlsplit
from uuid import uuid4

from tasks.errors import UserError
from tasks.evaluation.metrics.java import find_java
from tasks.evaluation.metrics.meteor import check_java_scorers
from tasks.inference.engines.loading import require_engine
from tasks.preflight.findings import Finding, ok, stops, warning
from tasks.settings import ExperimentConfig, InferenceConfig, TrainingConfig
from tasks.storage.object_store import ObjectStore, open_store
from tasks.training.wandb_login import choose_mode, key_source

PROBE = "written by a check before a run; may be deleted\n"


def existing(path: Path) -> Path:
    """A folder, or the nearest above it that exists."""
    return next(place for place in (path, *path.parents) if place.exists())


def store_findings(config: ExperimentConfig, uri: str, store: ObjectStore | None = None) -> list[Finding]:
    """Write access to the store: a tiny file is written, read and deleted; a folder that is not there is not made."""
    if config.store.credentials_block is not None and store is None:
        block = config.store.credentials_block
        return [warning("store", f"{uri} is reached with the block {block}, which only a flow reads: not looked at")]
    place = uri
    if uri.startswith("file:"):
        place = existing(Path(unquote(urlsplit(uri).path))).as_uri()
    key, said = f".rsvlm-probe-{uuid4().hex}", None
    try:
        store = store or open_store(place, config=config.store)
        store.create_text(key, PROBE)
        try:
            said = store.read_text(key)
        finally:
            store.delete(key)
    except UserError as error:
        return [stops("store", str(error))]
    if said != PROBE:
        return [stops("store", f"{uri} did not give back what was written there: choose another store.uri")]
    return [ok("store", f"{uri} can be written, read and deleted in")]


def wandb_findings(training: TrainingConfig) -> list[Finding]:
    """Where the curves of a run go; a key is only looked for, never shown."""
    if "wandb" not in training.report_to:
        return [ok("curves", "in the log alone: training.report_to is empty")]
    try:
        mode = choose_mode(training.wandb_mode)
    except UserError as error:
        return [stops("curves", str(error))]
    if mode == "online":
        return [ok("curves", f"sent to Weights & Biases with the key of {key_source()}")]
    if mode == "offline" and key_source() is None:
        return [warning("curves", "kept in files for a later `wandb sync`: no key is found; `wandb login` sends them")]
    return [ok("curves", "kept in files for a later `wandb sync`" if mode == "offline" else "turned off")]


def engine_findings(config: InferenceConfig, base: Path | None = None) -> list[Finding]:
    """What answers the test set, where that is a package that rsvlm does not bring, and whether it reads the base."""
    try:
        require_engine(config.engine, base)
    except UserError as error:
        return [stops("engine", str(error))]
    return [ok("engine", config.engine)]


def java_findings() -> list[Finding]:
    """Java and what it runs, without which captions cannot be scored at the end of a run."""
    try:
        check_java_scorers()
        return [ok("Java", str(find_java()))]
    except UserError as error:
        return [stops("Java", str(error))]
