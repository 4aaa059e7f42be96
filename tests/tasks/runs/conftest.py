"""Scored runs of a workspace."""

from support.scored_runs import scored_runs

__all__ = ["scored_runs"]
