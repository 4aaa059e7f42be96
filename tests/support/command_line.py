"""Run `rsvlm` in the test's own process."""

from flows.cli import main


def rsvlm(*arguments: object) -> int:
    """Run a command and return its exit code."""
    return main([str(argument) for argument in arguments])
