"""DeepSpeed configurations: the files of infra/deepspeed, by name."""

from pathlib import Path

from tasks.errors import ConfigError

FOLDER = Path(__file__).resolve().parents[2] / "infra" / "deepspeed"


def zero_config(name: str) -> str:
    """The path of a DeepSpeed configuration; raises ConfigError when there is none of that name."""
    path = FOLDER / f"{name}.json"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in FOLDER.glob("*.json")))
        raise ConfigError(f"There is no DeepSpeed configuration {name!r}: choose one of {known}.")
    return str(path)
