"""Notes on a training's checkpoints: which are safe in the store, which are only here, and what mends that."""

from pathlib import Path

from pydantic import ValidationError

from tasks.errors import DataError
from tasks.files import read_json, write_json
from tasks.paths import checkpoint_step, notes_beside, parse_checkpoint_name
from tasks.records import Value
from tasks.storage.checkpoints.staging import saved_at_ns


class Note(Value):
    """What became of one checkpoint; `uri` None: it is only on this disk, and `why` and `mend` say more."""

    saved_at_ns: int
    uri: str | None = None
    sha256: str | None = None
    why: str | None = None
    mend: str | None = None


def write_note(staged: Path, note: Note) -> None:
    """Write a checkpoint's note in place of an older one."""
    write_json(_place(staged), note.model_dump(mode="json", exclude_none=True))


def note_on(checkpoint: Path, staging: Path) -> Note | None:
    """The note on a checkpoint of the trainer's folder; one on another training of its step does not count."""
    for path in notes_beside(staging).glob(f"{checkpoint.name}*.json"):
        name = parse_checkpoint_name(path.stem)
        if name and name[0] == checkpoint_step(checkpoint.name):
            note = _read(path)
            if note and note.saved_at_ns == saved_at_ns(checkpoint):
                return note
    return None


def note_failure(staged: Path, error: Exception, mend: str) -> None:
    """Mark a staged checkpoint as only local."""
    write_note(staged, Note(saved_at_ns=saved_at_ns(staged), why=str(error), mend=mend))


def _place(staged: Path) -> Path:
    return notes_beside(staged.parent) / f"{staged.name}.json"


def _read(path: Path) -> Note | None:
    try:
        return Note.model_validate(read_json(path))
    except (DataError, ValidationError):
        return None
