"""What a training run says as it goes: a line a step, for people and for the log."""

import time
from typing import Any

from transformers import TrainerCallback


class ProgressLines(TrainerCallback):
    """Prints step, loss, learning rate, speed and the time that is left."""

    def __init__(self) -> None:
        self.started_s = 0.0
        self.first_step = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.started_s, self.first_step = time.monotonic(), state.global_step

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        if not state.is_world_process_zero or not logs:
            return
        if "eval_loss" in logs:
            print(f"step {state.global_step}: validation loss {float(logs['eval_loss']):.4f}", flush=True)
        elif "loss" in logs:
            print(self._line(state, logs), flush=True)

    def _line(self, state: Any, logs: dict[str, Any]) -> str:
        done = state.global_step - self.first_step
        rate = done / max(time.monotonic() - self.started_s, 1e-9)
        left_s = (state.max_steps - state.global_step) / rate if done else 0
        return (
            f"step {state.global_step}/{state.max_steps}: loss {float(logs['loss']):.4f}, "
            f"learning rate {float(logs['learning_rate']):.2e}, epoch {state.epoch:.2f}, "
            f"{rate:.2f} steps/s, {left_s:.0f} s left"
        )
