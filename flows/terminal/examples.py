"""Examples below the `--help` of each command."""

import argparse
from collections.abc import Mapping

from flows.terminal.parser import EXAMPLES, actions_of

# by the words of the command; without words: of rsvlm itself
BY_COMMAND: Mapping[str, tuple[str, ...]] = {
    "": (
        "rsvlm run demo",
        "rsvlm run real-cpu --set data.root=FOLDER",
        "rsvlm compare demo real-cpu",
        "rsvlm chat --model workspace/runs/demo/merged",
    ),
    "run": (
        "rsvlm run demo",
        "rsvlm run demo --set training.lora_r=8 --set training.num_train_epochs=2 --name smaller",
        "rsvlm run real-cpu --set data.root=FOLDER",
        "rsvlm run mine.yaml --workspace /disk/workspace -q",
    ),
    "list": ("rsvlm list", "rsvlm list --workspace /disk/workspace --json"),
    "view": ("rsvlm view", "rsvlm view --workspace /disk/workspace --port 7862"),
    "sweep": ("rsvlm sweep sweep.yaml", "rsvlm sweep sweep.yaml --name rates -q"),
    "config": ("rsvlm config demo > mine.yaml", "rsvlm config llava-1.5-7b-lora --set training.lora_r=64"),
    "train": ("rsvlm train demo", "rsvlm train demo --resume", "rsvlm train demo --set training.seed=2 --name seed-2"),
    "preflight": (
        "rsvlm preflight demo",
        "rsvlm preflight llava-1.5-7b-lora --set data.root=FOLDER --set training.nproc_per_node=4",
    ),
    "data fetch": (
        "rsvlm data fetch --root FOLDER",
        "rsvlm data fetch --root FOLDER --sources LR --archive LR=Images_LR.zip",
    ),
    "data import": (
        "rsvlm data import coco captions.json --out FOLDER/dataset.json --source MINE",
        "rsvlm data import questions.jsonl --out FOLDER/dataset.json --images IMAGES",
    ),
    "data convert": ("rsvlm data convert FOLDER/dataset.json sharegpt out.json",),
    "data filter": ("rsvlm data filter FOLDER/instructions_raw.json lr.json --sources LR",),
    "data split": ("rsvlm data split FOLDER/dataset.json sets --train 0.8 --test 0.1 --seed 1",),
    "data reduce": ("rsvlm data reduce sets/data_test.json small.json --ratio 0.3",),
    "data audit": ("rsvlm data audit sets/data_test.json --images FOLDER/imagenes --out audit --sets sets",),
    "inspect": ("rsvlm inspect --model MODEL --data sets/data_train.json --images FOLDER/imagenes",),
    "checkpoints list": ("rsvlm checkpoints list workspace/store", "rsvlm checkpoints list s3://bucket/prefix"),
    "checkpoints verify": ("rsvlm checkpoints verify workspace/store",),
    "checkpoints pull": ("rsvlm checkpoints pull workspace/store/demo checkpoints",),
    "checkpoints archive": ("rsvlm checkpoints archive workspace/runs/demo",),
    "merge": ("rsvlm merge --base MODEL --adapter workspace/runs/demo/training/final --out merged",),
    "predict": (
        "rsvlm predict --model workspace/runs/demo/merged --data TEST.json --images FOLDER/imagenes --out answers",
    ),
    "evaluate": (
        "rsvlm evaluate --data TEST.json --predictions answers/final.json --out report --train TRAIN.json",
        "rsvlm evaluate --data TEST.json --predictions theirs.csv --out report --partial",
    ),
    "compare": (
        "rsvlm compare demo smaller",
        "rsvlm compare demo/base demo",
        "rsvlm compare report-1 report-2 report-3 --latex table.tex",
    ),
    "report": ("rsvlm report demo --open", "rsvlm report demo/base"),
    "chat": ("rsvlm chat --model workspace/runs/demo/merged",),
    "serve": ("rsvlm serve --model workspace/runs/demo/merged --port 8000",),
    "deploy": ("rsvlm deploy", "rsvlm deploy --work-pool gpu"),
    "completion": (
        'eval "$(rsvlm completion bash)"',
        "rsvlm completion fish > ~/.config/fish/completions/rsvlm.fish",
    ),
}


def add_examples(parser: argparse.ArgumentParser, words: str = "") -> None:
    """Show the examples of a command and of all commands below it at the end of their help."""
    if examples := BY_COMMAND.get(words):
        parser.epilog = EXAMPLES + "\n".join(f"  {line}" for line in examples)
    for name, inner in actions_of(parser).items():
        add_examples(inner, f"{words} {name}".strip())
