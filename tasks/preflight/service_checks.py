"""Check the services and programs that a run uses: object store, Weights & Biases, answering engine, and Java."""

from pathlib import Path
from urllib.parse import unquote, urlsplit
from uuid import uuid4

from tasks.errors import UserError
from tasks.evaluation.metrics.java import find_java
from tasks.evaluation.metrics.meteor import check_java_scorers
from tasks.inference.engines.loading import require_engine
from tasks.preflight.findings import Finding, fatal, ok, warning
from tasks.preflight.served_model_checks import served_model_findings
from tasks.settings import ExperimentConfig, InferenceConfig, TrainingConfig
from tasks.storage.object_store import ObjectStore, open_store
from tasks.training.wandb_login import choose_mode, key_source

PROBE = "written by rsvlm preflight; can be deleted\n"
FILES = "saved as files for a later `wandb sync`"


def nearest_existing(path: Path) -> Path:
    """A path, or its nearest parent that exists."""
    return next(candidate for candidate in (path, *path.parents) if candidate.exists())


def store_findings(config: ExperimentConfig, uri: str, store: ObjectStore | None = None) -> list[Finding]:
    """Check that a small file can be written to the store, read and deleted; creates no folder."""
    if config.store.credentials_block is not None and store is None:
        block = config.store.credentials_block
        return [warning("store", f"{uri} needs the block {block}, which only a flow can read: not checked")]
    root = uri
    if uri.startswith("file:"):
        root = nearest_existing(Path(unquote(urlsplit(uri).path))).as_uri()
    key, content = f".rsvlm-probe-{uuid4().hex}", None
    try:
        store = store or open_store(root, config=config.store)
        store.create_text(key, PROBE)
        try:
            content = store.read_text(key)
        finally:
            store.delete(key)
    except UserError as error:
        return [fatal("store", str(error))]
    if content != PROBE:
        return [fatal("store", f"{uri} did not return what was written to it: choose another store.uri")]
    return [ok("store", f"{uri} allows writing, reading and deleting")]


def wandb_findings(training: TrainingConfig) -> list[Finding]:
    """Check where the curves of a run go; a key is never shown."""
    if "wandb" not in training.report_to:
        return [ok("curves", "only in the log: training.report_to is empty")]
    try:
        mode = choose_mode(training.wandb_mode)
    except UserError as error:
        return [fatal("curves", str(error))]
    if mode == "online":
        return [ok("curves", f"sent to Weights & Biases with the key from {key_source()}")]
    if mode == "offline" and key_source() is None:
        return [warning("curves", f"{FILES}: no key was found; log in with `wandb login` to send them")]
    return [ok("curves", FILES if mode == "offline" else "turned off")]


def engine_findings(config: InferenceConfig, base: Path | None = None) -> list[Finding]:
    """Check that the answering engine is installed and can load the base, or that its server answers."""
    if config.is_served:
        return served_model_findings(config.api)
    try:
        require_engine(config, base)
    except UserError as error:
        return [fatal("engine", str(error))]
    return [ok("engine", config.engine)]


def java_findings() -> list[Finding]:
    """Check that Java runs the scorers, without which captions cannot be scored at the end of a run."""
    try:
        check_java_scorers()
        return [ok("Java", str(find_java()))]
    except UserError as error:
        return [fatal("Java", str(error))]
