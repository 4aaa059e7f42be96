"""What tells one base model's weights from another's, whatever their layout, shards and files."""

import hashlib
from pathlib import Path

from tasks.model.llava.original_layout import TOWER_PREFIX, tensors_of


def weights_fingerprint(folder: Path) -> str:
    """SHA-256 in hex over name, shape and first row of each tensor of language model and projector.

    Layout, shards and a rounding of fp16 weights to bf16 do not change it. The vision tower, which the original
    layout keeps elsewhere, does not count. Raises ModelError when a file is missing or damaged.
    """
    import torch

    rows = {}
    for name, value in tensors_of(folder).items():
        if value.is_floating_point() and not name.startswith(TOWER_PREFIX):
            # a row each, so that gigabytes are told apart in the time of some thousand reads
            row = (value[:1] if value.dim() > 1 else value).to(torch.bfloat16).contiguous().view(torch.int16)
            rows[f"{name} {list(value.shape)}"] = row.numpy().tobytes()
    digest = hashlib.sha256()
    for name, row in sorted(rows.items()):
        digest.update(name.encode() + b"\0" + row)
    return digest.hexdigest()
