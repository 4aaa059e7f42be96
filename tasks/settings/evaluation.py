"""Settings of scores and report."""

from pydantic import Field

from tasks.settings.base import Section


class EvaluationConfig(Section):
    """How answers are scored and reported."""

    bootstrap_draws: int = Field(
        1000, ge=0, le=100_000, description="Bootstrap resamples for the confidence intervals; 0: no intervals."
    )
    seed: int = Field(28, ge=0, description="Random seed of bootstrap and shuffling.")
    gallery: int = Field(60, ge=0, le=2000, description="Number of examples in the report's gallery.")
    only_clean: bool = Field(
        False,
        description="Score only test images without a near-duplicate in the training set, as found by an audit of the "
        "sets.",
    )
    clean_beside: bool = Field(
        False, description="Also report scores on the test images without a near-duplicate in the training set."
    )
