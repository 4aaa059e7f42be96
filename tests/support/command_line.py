"""`rsvlm` as tests call it: in this process, by its arguments."""

from flows.cli import main


def rsvlm(*arguments: object) -> int:
    """Run a command and return its exit code."""
    return main([str(argument) for argument in arguments])
