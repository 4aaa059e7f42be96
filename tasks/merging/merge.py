"""Base and adapter into one model directory, whole or absent."""

from pathlib import Path

from tasks.merging.checks import require_mergeable
from tasks.merging.config_files import companions
from tasks.merging.model_directory import Form, NewModel, publish
from tasks.merging.safetensors_writer import NewTensor
from tasks.merging.tensor_merge import code_of, kept, merged
from tasks.model.adapter_files import TORCH_WEIGHTS, Adapter, read_adapter
from tasks.model.model_tensors import BaseModel, index_of, read_base
from tasks.model.tensor_files import StoredTensor
from tasks.paths import ADAPTER_CONFIG, ADAPTER_WEIGHTS, NON_LORA_WEIGHTS
from tasks.records import ModelRef

AS_BASE = Form()
KEPT = " with the base's own projector, since the adapter has none"


def merge_adapter(base: Path, adapter: Path, out: Path, form: Form = AS_BASE) -> ModelRef:
    """Merge a LoRA adapter and its projector into a base model and write the directory `out`.

    The same inputs and settings again do nothing. Raises ModelError when base or adapter is damaged, when they do
    not belong together, when the adapter was never trained, or when `out` holds something else.
    """
    base_model, lora = read_base(base), read_adapter(adapter)
    of_base = form.projector == "base"
    settings = {"rank": lora.settings.rank, "alpha": lora.settings.alpha, "trained_on": lora.settings.base_name}
    parts = [adapter / name for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS, TORCH_WEIGHTS, NON_LORA_WEIGHTS)]
    new = NewModel(
        base=base_model,
        source=base_model,
        tuned=adapter,
        what=f"the LoRA adapter `{adapter.name}` merged into `{base.name}`" + (KEPT if of_base else ""),
        form=form,
        settings=settings | ({"projector": "base"} if of_base else {}),
        inputs={
            "base": model_files(base_model),
            "adapter": {path.name: path for path in parts if path.is_file()},
            "companions": companions(base_model, adapter),
        },
        require=lambda: require_mergeable(base_model, lora, form),
        renew=lambda name, tensor, new_name: _renewed(lora, name, tensor, form.dtype, new_name),
    )
    return publish(new, out)


def model_files(model: BaseModel) -> dict[str, Path]:
    """The files that make a model what it is, by name; those of a tower that lies elsewhere below its folder's."""
    index = index_of(model.folder)
    own = [model.folder / "config.json", *([index] if index else [])]
    own += [file for file in model.files if file.parent == model.folder]
    files = {file.name: file for file in own}
    if model.tower is not None:
        tower = [model.tower / "config.json", *(file for file in model.files if file.parent == model.tower)]
        files |= {f"{model.tower.name}/{file.name}": file for file in tower}
    return files


def _renewed(adapter: Adapter, name: str, tensor: StoredTensor, dtype: str, new_name: str) -> NewTensor:
    code = code_of(tensor, dtype)
    if name in adapter.changed:
        return merged(tensor, adapter, name, code, new_name)
    return kept(tensor, code, new_name)
