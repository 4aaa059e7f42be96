"""The engines that can answer a test set, by name: what each needs and whether its answers are exact.

A new engine is one file and one entry. The file defines `prepare(request: PredictRequest) -> PreparedEngine`; the
entry names the file. The command line, the settings, the checks before a run and a test of docs/answering.md read
ENGINES. Nothing heavy is imported here: `rsvlm --help` reads it too.
"""

from dataclasses import dataclass
from typing import Literal

from tasks.choices import Layout


@dataclass(frozen=True)
class EngineEntry:
    """One engine: its module, which is imported when it is used, and its requirements.

    `exact` says in which number type an answer never depends on the questions in its batch; where it may, a sample is
    asked again one question at a time. `package` must be installed besides rsvlm's own. `layouts` are the layouts of
    model directories that it reads. `served`: the model is on a server and named by the settings; there is no model
    directory. `checks` is a module, quickly imported, whose `require(config, model)` raises a UserError if settings,
    machine or model (None: not known yet) do not meet its other requirements, which `needs_besides` names.
    """

    module: str
    summary: str
    exact: Literal["always", "float32", "never"] = "never"
    package: str | None = None
    needs_gpu: bool = False
    needs_model: bool = True
    takes_adapters: bool = True
    served: bool = False
    layouts: tuple[Layout, ...] = ("transformers", "llava")
    checks: str | None = None
    needs_besides: str | None = None

    @property
    def needs(self) -> str:
        """The requirements in words."""
        needs = [f"the package {self.package}"] if self.package else []
        needs += [self.needs_besides] if self.needs_besides else []
        needs += ["a GPU"] if self.needs_gpu else []
        needs += ["a server"] if self.served else []
        if self.needs_model and not self.takes_adapters:
            needs.append("a merged model")
        if "llava" not in self.layouts:
            needs.append("transformers layout")
        return ", ".join(needs) or ("a model" if self.needs_model else "nothing")

    def is_exact(self, dtype: str) -> bool:
        """Whether answers computed in `dtype` do not depend on the batch."""
        return self.exact in ("always", dtype)


DEFAULT_ENGINE = "transformers"
ENGINES: dict[str, EngineEntry] = {
    "transformers": EngineEntry(
        "tasks.inference.engines.transformers_engine", "the model in PyTorch, in this process", exact="float32"
    ),
    "vllm": EngineEntry(
        "tasks.inference.engines.vllm_engine",
        "the model in vLLM, in a process of another environment",
        takes_adapters=False,
        layouts=("transformers",),
        checks="tasks.inference.engines.vllm_checks",
        needs_besides="an environment with vLLM",
    ),
    "openai": EngineEntry(
        "tasks.inference.engines.openai_engine",
        "a model behind an OpenAI-compatible server",
        needs_model=False,
        takes_adapters=False,
        served=True,
    ),
    "echo": EngineEntry(
        "tasks.inference.engines.echo",
        "repeats the question, to try out a test set",
        exact="always",
        needs_model=False,
    ),
}
