"""The program that runs vLLM for the engine `vllm`, in an environment of its own, which docs/answering.md says to make.

It imports nothing of rsvlm: its Python has other versions of transformers, and may lack the rest. A message on the
standard input or output is MAGIC, the length of its header (4 bytes, big-endian), the header (a JSON object), and as
many bytes as the header's `bytes` says. Each request has one reply, and the program ends with its input:

{"do": "about"}       {"version": "0.32.0", "device": "cpu"}
{"do": "load", "options": {...}}    {}; the options are arguments of vllm.LLM
{"do": "generate", "shapes": [[3, H, W], ...], "prompts": [{"prompt": {...}, "image": 0, "params": {...}}, ...]}
    {"tokens": [[...], ...]}; the bytes are the images' float32 values, one after the other; `params` are arguments of
    vllm.SamplingParams

A reply {"error": "..."} says what failed.
"""

import json
import math
import os
import sys
import traceback
from importlib import metadata
from typing import IO, Any

MAGIC = b"RSVLMIPC"
FLOAT_BYTES = 4
# torchvision's compiled operators, which a wheel for another build of torch does not bring: importing torchvision
# needs their names, and nothing that vLLM does with LLaVA calls them
OPERATORS = {
    "nms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}


def read_message(stream: IO[bytes]) -> tuple[dict[str, Any], bytes] | None:
    """The next message as header and bytes; None at the end of the stream. Raises ValueError for anything else."""
    start = stream.read(len(MAGIC))
    if not start:
        return None
    if start != MAGIC:
        raise ValueError(f"no message begins with {start!r}")
    header = json.loads(_read(stream, int.from_bytes(_read(stream, 4), "big")))
    return header, _read(stream, header.get("bytes", 0))


def _read(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise ValueError("a message is cut off")
    return data


def write_message(stream: IO[bytes], header: dict[str, Any], *blobs: bytes) -> None:
    """Write a message; the header's `bytes` is set."""
    text = json.dumps({**header, "bytes": sum(map(len, blobs))}).encode()
    stream.write(MAGIC + len(text).to_bytes(4, "big") + text)
    for blob in blobs:
        stream.write(blob)
    stream.flush()


class Server:
    """Answers requests; the model is kept from request to request."""

    def __init__(self) -> None:
        self._llm: Any = None

    def handle(self, header: dict[str, Any], data: bytes) -> dict[str, Any]:
        """The reply to a request."""
        if header["do"] == "about":
            return {"version": vllm_version(), "device": device()}
        if header["do"] == "load":
            self._load(header["options"])
            return {}
        return {"tokens": self._generate(header, data)}

    def _load(self, options: dict[str, Any]) -> None:
        on_cpu = device() == "cpu"
        if on_cpu:
            # a second process would only add its start to the answers' time
            os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
        defined = on_cpu and define_missing_operators()
        import vllm

        if defined:
            inspect_here()
        # compiling takes minutes on a CPU, and changes answers
        self._llm = vllm.LLM(**options, **({"enforce_eager": True} if on_cpu else {}))

    def _generate(self, header: dict[str, Any], data: bytes) -> list[list[int]]:
        import numpy
        import vllm

        images, start = [], 0
        for shape in header["shapes"]:
            count = math.prod(shape)
            # arrays: vLLM takes a tensor of three dimensions for embeddings
            images.append(numpy.frombuffer(data, numpy.float32, count, start).reshape(shape))
            start += FLOAT_BYTES * count
        prompts = [
            {**asked["prompt"], "multi_modal_data": {"image": images[asked["image"]]}} for asked in header["prompts"]
        ]
        params = [vllm.SamplingParams(**asked["params"]) for asked in header["prompts"]]
        outputs = self._llm.generate(prompts, params, use_tqdm=False)
        return [list(output.outputs[0].token_ids) for output in outputs]


def vllm_version() -> str:
    """The version of the distribution that provides the module: builds for a CPU have another name."""
    names = metadata.packages_distributions().get("vllm")
    if not names:
        raise ModuleNotFoundError("vllm is not installed in this environment")
    return metadata.version(names[0])


def device() -> str:
    """`cuda` or `cpu`."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def define_missing_operators() -> bool:
    """Import torchvision; if it cannot find its compiled operators, define their names and import it again.

    Returns whether they were missing.
    """
    import torch

    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        for name, signature in OPERATORS.items():
            if not hasattr(torch.ops.torchvision, name):
                torch.library.define(f"torchvision::{name}", signature)
        return True
    except ModuleNotFoundError:
        # vLLM says whether it needs it
        pass
    return False


def inspect_here() -> None:
    """Register the model's class: vLLM would import it in a further process, where the operators are missing."""
    from vllm import ModelRegistry
    from vllm.model_executor.models.llava import LlavaForConditionalGeneration

    ModelRegistry.register_model("LlavaForConditionalGeneration", LlavaForConditionalGeneration)


def serve(requests: IO[bytes], replies: IO[bytes]) -> None:
    """Answer requests until their stream ends."""
    server = Server()
    while (message := read_message(requests)) is not None:
        try:
            reply = server.handle(*message)
        except Exception as error:
            traceback.print_exc()
            reply = {"error": f"{type(error).__name__}: {error}"}
        write_message(replies, reply)


def main() -> None:
    """Serve on the standard streams; what libraries print goes to the error output."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    serve(requests, replies)


if __name__ == "__main__":
    main()
