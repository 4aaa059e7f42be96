"""DeepSpeed configurations: the files of infra/deepspeed, by name, and what must come before the model."""

from pathlib import Path

from tasks.errors import ConfigError

FOLDER = Path(__file__).with_name("zero_configs")


def zero_config(name: str) -> str:
    """The path of a DeepSpeed configuration; raises ConfigError when there is none of that name."""
    path = FOLDER / f"{name}.json"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in FOLDER.glob("*.json")))
        raise ConfigError(f"There is no DeepSpeed configuration {name!r}: choose one of {known}.")
    return str(path)


def join_deepspeed(use_cpu: bool) -> None:
    """Make DeepSpeed know all processes; ZeRO-3 divides the model among them while it is loaded."""
    import deepspeed.comm

    # transformers does it by itself, but not on CPUs
    if not deepspeed.comm.is_initialized():
        deepspeed.comm.init_distributed("gloo" if use_cpu else "nccl")
