"""What a training run says as it goes: a line at each log, for people, for the log and for its parent."""

from typing import Any

from transformers import TrainerCallback

from tasks.training.worker_output import curves_line, step_line


class ProgressLines(TrainerCallback):
    """Prints the readings of each log, and where Weights & Biases shows them; must stand after all other callbacks."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if "wandb" in args.report_to and state.is_world_process_zero:
            print(_where_curves_are(), flush=True)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        if not state.is_world_process_zero or not logs:
            return
        if "eval_loss" in logs:
            print(f"step {state.global_step}: validation loss {float(logs['eval_loss']):.4f}", flush=True)
        elif "loss" in logs:
            print(step_line(state.global_step, state.max_steps, {"epoch": state.epoch, **logs}), flush=True)


def _where_curves_are() -> str:
    import wandb

    run = wandb.run
    if run is None:
        return "curves are kept nowhere but in the log: Weights & Biases started no run"
    if run.offline:
        return f"curves are kept in files: send them with `wandb sync {run.dir.removesuffix('/files')}`"
    return curves_line(run.url)
