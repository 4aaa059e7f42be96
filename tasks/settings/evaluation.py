"""Settings of scores and report."""

from pydantic import Field, model_validator

from tasks.settings.base import Section


class EvaluationConfig(Section):
    """How answers are scored and reported."""

    seed: int = Field(28, ge=0, description="Random seed of shuffling.")
    gallery: int = Field(60, ge=0, le=2000, description="Number of examples in the report's gallery.")
    only_clean: bool = Field(
        False,
        description="Score only test images without a near-duplicate in the training set, as found by an audit of the "
        "sets.",
    )
    clean_beside: bool = Field(
        False, description="Also report scores on the test images without a near-duplicate in the training set."
    )

    @model_validator(mode="before")
    @classmethod
    def _without_draws(cls, given: object) -> object:
        # experiment.yaml of earlier versions has them; intervals are computed without random draws now
        if isinstance(given, dict):
            return {name: value for name, value in given.items() if name != "bootstrap_draws"}
        return given
