"""Configuration of a sweep: the searched settings, the sampler and the objective."""

from typing import Literal

from pydantic import Field, model_validator

from tasks.settings import Section

# a value of a searched setting
Choice = bool | int | float | str | None
Objective = Literal["score", "CIDEr", "accuracy", "mean_iou"]


class Range(Section):
    """A range of numbers from low to high; integers where the setting is an integer."""

    low: float = Field(description="Lowest value.")
    high: float = Field(description="Highest value.")
    log: bool = Field(False, description="Sample evenly over orders of magnitude, as for learning rates.")
    steps: int | None = Field(None, ge=2, le=100, description="Number of values in a grid, both ends included.")

    @model_validator(mode="after")
    def _low_is_below_high(self) -> "Range":
        if self.low >= self.high:
            raise ValueError(f"low is {self.low:g}, but must be below high, {self.high:g}")
        if self.log and self.low <= 0:
            raise ValueError(f"low is {self.low:g}, but must be above 0 with log")
        return self


class SweepConfig(Section):
    """Which settings are searched and how; points are scored on the validation set, never on the test set."""

    search: dict[str, tuple[Choice, ...] | Range] = Field(
        min_length=1,
        description="Settings by dotted path, each with a list of values or {low, high, log, steps}, e.g. "
        "training.lora_r: [8, 16, 32].",
    )
    sampler: Literal["grid", "random", "tpe"] = Field(
        "tpe", description="grid: all combinations; random; tpe: near points that scored well (Optuna)."
    )
    points: int = Field(8, ge=1, le=1000, description="Points to try; a smaller grid ends earlier.")
    seed: int = Field(28, ge=0, le=2**31, description="Seed of the sampler, and of the order of a grid.")
    objective: Objective = Field(
        "score",
        description="The score to maximise: CIDEr of captions, accuracy of questions, mean_iou of boxes, or score for "
        "all. Several sources count alike: each in standard errors of its score at the first point.",
    )
    pruning: bool = Field(
        False,
        description="Stop trainings whose validation loss is above the median of the others at the same step; "
        "needs training.eval_strategy.",
    )
    keep_merged: bool = Field(
        False,
        description="Keep the merged model of every point, each as large as the base; otherwise only those of the best "
        "point and of runs that have a test report are kept.",
    )

    @model_validator(mode="after")
    def _has_distinct_values(self) -> "SweepConfig":
        for path, values in self.search.items():
            if isinstance(values, tuple) and len(set(map(repr, values))) != max(len(values), 1):
                raise ValueError(f"{path} needs a list of distinct values")
            if isinstance(values, Range) and self.sampler == "grid" and values.steps is None:
                raise ValueError(f"{path} needs steps, or a list of values: a grid has a fixed number of values")
        return self
