"""Upload all staged checkpoints of a run to the store, then delete those that the retention rules do not keep."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tasks.errors import ModelError, StoreError, UserError
from tasks.files import remove_half_written
from tasks.paths import checkpoint_folders, checkpoint_name, notes_folder_of
from tasks.settings import ArchiveConfig
from tasks.storage.checkpoints.paths import archive_checkpoint
from tasks.storage.checkpoints.retention import thin_local, thin_store
from tasks.storage.checkpoints.staging import (
    Note,
    Staged,
    clear_unfinished,
    drop_resume_states,
    has_all_files,
    locked,
    note_failure,
    note_on,
    remove_staged,
    saved_at_ns,
    stage_checkpoint,
    staged_checkpoints,
    write_note,
)
from tasks.storage.folder_upload import Archived
from tasks.storage.object_store import ObjectStore

log = logging.getLogger(__name__)


@dataclass
class StagingPass:
    """Result of one pass over staging: checkpoints archived, by step; steps without their marker; errors, by step."""

    archived: dict[int, Archived] = field(default_factory=dict)
    incomplete: list[int] = field(default_factory=list)
    failed: dict[int, UserError] = field(default_factory=dict)


@dataclass(frozen=True)
class Archive:
    """Moves a run's checkpoints from `staging`, a folder in the trainer's folder, to the store.

    `on_archived(step, archived)` is called before a checkpoint leaves staging, so it is repeated after a kill.
    """

    staging: Path
    store: ObjectStore
    run: str
    rules: ArchiveConfig = field(default_factory=ArchiveConfig)
    on_archived: Callable[[int, Archived], None] = lambda step, archived: None

    @property
    def fix(self) -> str:
        """How checkpoints that are only on this disk are archived later, for messages."""
        return f"`rsvlm checkpoints archive {self.staging.parent.parent}`, or the same command again, archives it"

    def recover(self) -> None:
        """Clean up after a kill: remove unfinished folders, and stage complete checkpoints that were not staged."""
        clear_unfinished(self.staging)
        for _, checkpoint in checkpoint_folders(self.staging.parent):
            if not has_all_files(checkpoint) or self._is_archived(checkpoint):
                continue
            try:
                stage_checkpoint(checkpoint, self.staging)
            except (ModelError, StoreError):
                # the trainer has just deleted it, and had staged it before
                if has_all_files(checkpoint):
                    raise

    def _is_archived(self, checkpoint: Path) -> bool:
        note = note_on(checkpoint, self.staging)
        return note is not None and note.uri is not None

    def upload_staged(self) -> StagingPass:
        """Copy every complete checkpoint in staging to the store, then remove it from staging.

        An incomplete checkpoint is left and reported; an error of one does not stop the others. Only one process at a
        time does this.
        """
        result = StagingPass()
        notes = notes_folder_of(self.staging)
        with locked(notes):
            remove_half_written(notes)
            for staged in staged_checkpoints(self.staging):
                if not staged.is_complete:
                    result.incomplete.append(staged.step)
                    continue
                try:
                    result.archived[staged.step] = self._archive(staged)
                except UserError as error:
                    result.failed[staged.step] = error
                    note_failure(staged.path, error, self.fix)
            if result.archived:
                self._thin()
        return result

    def _archive(self, staged: Staged) -> Archived:
        if not self.rules.optimizer_states:
            drop_resume_states(staged.path)
        archived = archive_checkpoint(staged.path, self.store, self.run, staged.step)
        note = Note(saved_at_ns=saved_at_ns(staged.path), uri=archived.uri, sha256=archived.sha256)
        self.on_archived(staged.step, archived)
        write_note(staged.path, note)
        remove_staged(staged.path)
        return archived

    def _thin(self) -> None:
        try:
            thin_store(self.store, self.run, self.rules.keep)
        except StoreError as error:
            # older checkpoints only take space; the next upload tries again
            log.warning("older checkpoints of %s could not be removed from the store: %s", self.run, error)

    def thin_disk(self) -> None:
        """Remove checkpoints from the disk that the rules do not keep and the store has; no trainer may be running."""
        thin_local(self.staging, self.store, self.run, self.rules.keep_local)


def archive_staged(archive: Archive) -> dict[int, Archived]:
    """Recover and upload once; return what was archived, by step; StoreError if any failed, after all were tried.

    A training may be running meanwhile.
    """
    archive.recover()
    result = archive.upload_staged()
    if result.failed:
        failures = "; ".join(f"{checkpoint_name(step)}: {error}" for step, error in result.failed.items())
        raise StoreError(f"Still only in {archive.staging}: {failures}")
    return result.archived
