"""Settings of scores and report."""

from pydantic import Field

from tasks.settings.base import Section


class EvaluationConfig(Section):
    """How answers are scored."""

    bootstrap_draws: int = Field(1000, ge=0, le=100_000, description="Bootstrap draws for the intervals; 0: none.")
    seed: int = Field(28, ge=0, description="Seed of bootstrap and shuffling.")
    gallery: int = Field(60, ge=0, le=2000, description="Examples in the report's gallery.")
    only_clean: bool = Field(
        False, description="Score only test images that show nothing of the training set, by an audit of the sets."
    )
    clean_beside: bool = Field(
        False, description="Score the test images that show nothing of the training set beside all, by the same audit."
    )
