"""Values that users choose between: the settings and the command line take them from here.

Nothing heavy is imported here: `rsvlm --help` reads it too.
"""

from typing import Literal

# layout of a model directory: that of transformers, or that of the original LLaVA code
Layout = Literal["transformers", "llava"]
# whose projector is used
Projector = Literal["adapter", "base"]
MergedDtype = Literal["base", "float32", "bfloat16", "float16"]
InferenceDtype = Literal["auto", "float32", "bfloat16", "float16"]
# what a later turn of a test set's record sees of the earlier ones
History = Literal["independent", "predicted", "reference"]
# the same in a chat, which has no reference answers
ChatHistory = Literal["predicted", "independent"]
# what is done to a test image before the model sees it
Transform = Literal["rot90", "rot180", "rot270", "flip-horizontal", "flip-vertical", "jpeg-50", "half-resolution"]
CaptionTurns = Literal["first", "all"]
DrawProtocol = Literal["grouped", "reference"]
# own: the data set's own division, from the field `split` of its records
SplitProtocol = Literal["grouped", "reference", "own"]
# formats of other tools, in tasks/data/importing and tasks/data/exporting
ImportFormat = Literal["rsvqa", "karpathy", "coco", "llava-jsonl", "sharegpt", "ms-swift", "vrsbench"]
ExportFormat = Literal["coco", "sharegpt", "hf"]
# data that rsvlm draws itself, by the `kind` in its folder's manifest
SAMPLE, LESSONS = "sample", "lessons"
PoolType = Literal["process", "docker", "kubernetes"]
