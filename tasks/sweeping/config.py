"""What a sweep is: which settings are searched, how, and by what the best is told."""

from typing import Literal

from pydantic import Field, model_validator

from tasks.settings import Section

Choice = bool | int | float | str | None
Objective = Literal["score", "CIDEr", "accuracy"]


class Range(Section):
    """A setting's numbers from low to high; whole ones where the setting is a whole number."""

    low: float = Field(description="Lowest value.")
    high: float = Field(description="Highest value.")
    log: bool = Field(False, description="Spread evenly over orders of magnitude, as learning rates want it.")
    steps: int | None = Field(None, ge=2, le=100, description="Values that a grid takes, both ends included.")

    @model_validator(mode="after")
    def _has_an_order(self) -> "Range":
        if self.low >= self.high:
            raise ValueError(f"low is {self.low:g}, but must be below high, {self.high:g}")
        if self.log and self.low <= 0:
            raise ValueError(f"low is {self.low:g}, but must be above 0 with log")
        return self


class SweepConfig(Section):
    """Which settings are searched and how; the best is told by answers to the validation set, never to the test set."""

    search: dict[str, tuple[Choice, ...] | Range] = Field(
        min_length=1,
        description="Settings by dotted path, each with a list of values or {low, high, log, steps}, e.g. "
        "training.lora_r: [8, 16, 32].",
    )
    sampler: Literal["grid", "random", "tpe"] = Field(
        "tpe", description="grid: all combinations; random: drawn; tpe: drawn where earlier points were good (Optuna)."
    )
    points: int = Field(8, ge=1, le=1000, description="Points to try; a grid that is smaller ends earlier.")
    seed: int = Field(28, ge=0, le=2**31, description="Seed of the drawing, and of the order of a grid.")
    objective: Objective = Field(
        "score",
        description="What is to be highest, as mean over the sources: CIDEr of captions, accuracy of questions, or "
        "score: both.",
    )
    pruning: bool = Field(
        False,
        description="End a training early whose validation loss is above the median of the others at the same step; "
        "needs training.eval_strategy.",
    )
    keep_merged: bool = Field(
        False,
        description="Keep the merged model of every point, each as large as the base; otherwise only that of the best "
        "point is kept, and of runs that went on to their test report.",
    )

    @model_validator(mode="after")
    def _values_are_there(self) -> "SweepConfig":
        for path, values in self.search.items():
            if isinstance(values, tuple) and len(set(map(repr, values))) != max(len(values), 1):
                raise ValueError(f"{path} needs values, each once")
            if isinstance(values, Range) and self.sampler == "grid" and values.steps is None:
                raise ValueError(f"{path} needs steps, or a list of values: a grid takes a number of them")
        return self
