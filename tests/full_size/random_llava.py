"""A LLaVA-1.5-7B of random numbers in the original layout, beside its vision tower, written shard by shard."""

import json
import math
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path

import torch
from sentencepiece import SentencePieceTrainer
from sentencepiece.sentencepiece_model_pb2 import ModelProto
from support.published_llava import CLIP, LLAVA

LAYERS_PER_SHARD = 6
# that of LLaMA's and CLIP's initialization
DEVIATION = 0.02
NOISE = 1 << 26
TOKENIZER = {
    **{"tokenizer_class": "LlamaTokenizer", "legacy": False, "model_max_length": 2048, "padding_side": "right"},
    **{"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<unk>"},
    **{"add_bos_token": True, "add_eos_token": False, "clean_up_tokenization_spaces": False, "sp_model_kwargs": {}},
}
PREPROCESSOR = {
    **{"image_processor_type": "CLIPImageProcessor", "do_resize": True, "size": 336, "resample": 3},
    **{"do_center_crop": True, "crop_size": 336, "do_normalize": True, "do_convert_rgb": True},
    **{"image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711]},
}
KINDS = ("weight", "bias")
Shapes = dict[str, tuple[int, ...]]


def write_llava(folder: Path, texts: Sequence[str]) -> tuple[Path, Path]:
    """Write model and tower in `folder`, with a tokenizer that is trained on `texts`; returns their folders."""
    base, tower = folder / "llava-v1.5-7b", folder / "clip-vit-large-patch14-336"
    for path in (base, tower):
        path.mkdir(parents=True)
    values = _Noise()
    shards = list(model_shards())
    names: dict[str, str] = {}
    for number, shapes in enumerate(shards, 1):
        file = f"pytorch_model-{number:05}-of-{len(shards):05}.bin"
        torch.save({name: values.filled(name, shape) for name, shape in shapes.items()}, base / file)
        names |= dict.fromkeys(shapes, file)
    _write(base / "pytorch_model.bin.index.json", {"metadata": {}, "weight_map": names})
    _write(base / "config.json", LLAVA)
    _write(base / "tokenizer_config.json", TOKENIZER)
    (base / "tokenizer.model").write_bytes(pieces(texts, LLAVA["vocab_size"]))
    torch.save(
        {name: values.filled(name, shape) for name, shape in tower_shapes().items()}, tower / "pytorch_model.bin"
    )
    _write(tower / "config.json", CLIP)
    _write(tower / "preprocessor_config.json", PREPROCESSOR)
    return base, tower


def model_shards() -> Iterator[Shapes]:
    """The tensors of the language model and the projector, by shard."""
    hidden, inner, vision = LLAVA["hidden_size"], LLAVA["intermediate_size"], LLAVA["mm_hidden_size"]
    layer: Shapes = {f"self_attn.{name}_proj.weight": (hidden, hidden) for name in "qkvo"}
    layer |= {f"mlp.{name}_proj.weight": (inner, hidden) for name in ("gate", "up")}
    layer |= {"mlp.down_proj.weight": (hidden, inner), "input_layernorm.weight": (hidden,)}
    layer |= {"post_attention_layernorm.weight": (hidden,)}
    for first in range(0, LLAVA["num_hidden_layers"], LAYERS_PER_SHARD):
        numbers = range(first, min(first + LAYERS_PER_SHARD, LLAVA["num_hidden_layers"]))
        yield {f"model.layers.{number}.{name}": shape for number in numbers for name, shape in layer.items()}
    rows = (LLAVA["vocab_size"], hidden)
    projector: Shapes = {"model.mm_projector.0.weight": (hidden, vision), "model.mm_projector.0.bias": (hidden,)}
    projector |= {"model.mm_projector.2.weight": (hidden, hidden), "model.mm_projector.2.bias": (hidden,)}
    yield {"model.embed_tokens.weight": rows, "lm_head.weight": rows, "model.norm.weight": (hidden,), **projector}


def tower_shapes() -> Shapes:
    """The tensors of the vision tower."""
    config = CLIP["vision_config"]
    hidden, inner, patch = config["hidden_size"], config["intermediate_size"], config["patch_size"]
    sides = {f"self_attn.{name}_proj": (hidden, hidden) for name in ("q", "k", "v", "out")}
    sides |= {"mlp.fc1": (inner, hidden), "mlp.fc2": (hidden, inner)}
    layer: Shapes = {f"{name}.weight": side for name, side in sides.items()}
    layer |= {f"{name}.bias": side[:1] for name, side in sides.items()}
    layer |= {f"layer_norm{number}.{kind}": (hidden,) for number in (1, 2) for kind in KINDS}
    shapes: Shapes = {
        "embeddings.class_embedding": (hidden,),
        "embeddings.patch_embedding.weight": (hidden, 3, patch, patch),
        "embeddings.position_embedding.weight": ((config["image_size"] // patch) ** 2 + 1, hidden),
    }
    shapes |= {f"{name}.{kind}": (hidden,) for name in ("pre_layrnorm", "post_layernorm") for kind in KINDS}
    for number in range(config["num_hidden_layers"]):
        shapes |= {f"encoder.layers.{number}.{name}": shape for name, shape in layer.items()}
    return {f"vision_model.{name}": shape for name, shape in shapes.items()}


def pieces(texts: Sequence[str], size: int) -> bytes:
    """A sentencepiece model like LLaMA's: byte fallback, trained on `texts`, filled up to `size` with unused pieces."""
    written = BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=written,
        model_type="bpe",
        vocab_size=2000,
        hard_vocab_limit=False,
        byte_fallback=True,
        minloglevel=2,
    )
    model = ModelProto.FromString(written.getvalue())
    lowest = min(piece.score for piece in model.pieces)
    for number in range(len(model.pieces), size):
        model.pieces.add(piece=f"unused {number}", score=lowest - number)
    content: bytes = model.SerializeToString()
    return content


class _Noise:
    """Fills tensors with parts of the same noise, each from a place of its own."""

    def __init__(self) -> None:
        self._generator = torch.Generator().manual_seed(28)
        self._noise = torch.randn(NOISE, generator=self._generator).mul_(DEVIATION).half()

    def filled(self, name: str, shape: tuple[int, ...]) -> torch.Tensor:
        """A float16 tensor; the weights of norms are ones."""
        if "norm" in name and name.endswith("weight"):
            return torch.ones(shape, dtype=torch.float16)
        items = math.prod(shape)
        start = int(torch.randint(NOISE, (1,), generator=self._generator))
        turned = self._noise.roll(-start)
        return turned.repeat(-(-items // NOISE))[:items].reshape(shape).clone()


def _write(file: Path, value: object) -> None:
    file.write_text(json.dumps(value), encoding="utf-8")
