"""Advice for a training process that failed, from its exit code and last lines."""

import re
from collections.abc import Sequence

from tasks.processes import TIME_IS_UP

# torchrun prints about thirty lines after those with the cause, and each rank prints a traceback.
LINES_READ = 400

LESS_GPU_MEMORY = (
    "the GPU is out of memory; lower per_device_train_batch_size and raise gradient_accumulation_steps by the same "
    "factor, set gradient_checkpointing=true, or use deepspeed zero3 or zero3_offload: `rsvlm preflight` shows what "
    "uses the memory."
)
LESS_HOST_MEMORY = (
    "the machine is out of memory; lower dataloader_num_workers or per_device_train_batch_size, do not offload, or "
    "give the machine or container more."
)
SHARED_MEMORY = (
    "the data loader's processes ran out of shared memory; start the container with a larger --shm-size, or set "
    "dataloader_num_workers=0."
)
BUILD_TOOLS = (
    "DeepSpeed has to compile an extension and found no matching CUDA toolkit or compiler; set CUDA_HOME to a toolkit "
    "of PyTorch's CUDA version, install g++ and ninja, or use a configuration without offload."
)
KILLED = (
    "the system killed it, usually because memory ran out (see `dmesg` or the container's events); lower "
    "dataloader_num_workers or per_device_train_batch_size, or give it more memory."
)

# Pattern and advice. The first match wins: causes come before their consequences on other ranks.
SIGNS = (
    (
        re.escape(TIME_IS_UP),
        "raise training.run_timeout_h and start it again: it resumes from its newest checkpoint.",
    ),
    (
        r"CUDA out of memory|torch\.OutOfMemoryError|CU(BLAS|DNN)_STATUS_ALLOC_FAILED"
        r"|Cuda failure (\d+ )?'out of memory'|CUDA error: out of memory",
        LESS_GPU_MEMORY,
    ),
    (
        r"No space left on device|Disk quota exceeded|PytorchStreamWriter failed writing",
        "the disk is full; free space, lower save_total_limit, or choose a --workspace on another disk.",
    ),
    (
        r"out of shared memory|killed by signal: Bus error|(open|mmap|write to) .*shared memory"
        r"|torch_shm_manager",
        SHARED_MEMORY,
    ),
    (
        r"DefaultCPUAllocator|MemoryError|Cannot allocate memory|std::bad_alloc|Out of memory: Killed"
        r"|oom-kill|DataLoader worker .* killed by signal: Killed",
        LESS_HOST_MEMORY,
    ),
    (
        r"Signal 9 \(SIGKILL\)|exitcode\s*: -9",
        KILLED,
    ),
    (
        r"Too many open files",
        "the limit on open files is too low; run `ulimit -n 65536`, or lower dataloader_num_workers.",
    ),
    (
        r"flash_attn\S*: undefined symbol",
        "flash-attn was built for another PyTorch; rebuild it (pip install --no-build-isolation "
        "--force-reinstall flash-attn), or uninstall it to use SDPA.",
    ),
    (
        r"FlashAttention only supports Ampere",
        "this GPU is too old for flash-attn; uninstall it to use SDPA.",
    ),
    (
        r"FlashAttention2 has been toggled on|No module named 'flash_attn|ImportError: .*flash_attn",
        "flash-attn is requested but not installed; install the extra `gpu`, or uninstall flash-attn to use SDPA.",
    ),
    (
        r"is not a readable image|cannot identify image file|image file is truncated",
        "an image cannot be read; fetch it again, or set data.broken_images=drop and run the data step again.",
    ),
    (
        r"loss has been .* since step",
        "lower learning_rate, raise warmup_ratio, or train without bf16.",
    ),
    (
        r"Check batch related parameters|DeepSpeed config values that mismatch",
        "DeepSpeed's batch sizes do not match; set them to auto in the configuration in infra/deepspeed: "
        "per_device_train_batch_size and gradient_accumulation_steps decide.",
    ),
    (
        r"MissingCUDAException|CUDA_HOME environment variable is not set|Unable to JIT load"
        r"|Error building extension|does not match the version torch was compiled with|Ninja is required"
        r"|nvcc: not found|Python\.h: No such file",
        BUILD_TOOLS,
    ),
    (
        r"ZeRO-Offload with a client provided optimizer",
        'DeepSpeed requires its own optimizer for offload; set "zero_force_ds_cpu_optimizer": false in its '
        "configuration.",
    ),
    (
        r"checkpoint being loaded used a DP world size",
        "the checkpoint was written by a different number of processes; resume with as many as before.",
    ),
    (
        r"doesn't support bf16|not (implemented|supported) for 'BFloat16'|--tf32 requires"
        r"|[Bb]float16 is (only|not) supported",
        "this machine cannot compute in bfloat16 or TF32; set training.bf16=false and training.tf32=false.",
    ),
    (
        r"invalid device ordinal",
        "there are more processes than GPUs; lower training.nproc_per_node.",
    ),
    (
        r"Torch not compiled with CUDA|Found no NVIDIA driver|[Nn]o CUDA GPUs are available",
        "PyTorch sees no GPU; install a CUDA build of PyTorch and the driver, or set training.use_cpu=true.",
    ),
    (
        r"driver on your system is too old|driver version is insufficient|no kernel image is available",
        "PyTorch's CUDA version does not match the driver or the GPU; update the driver or PyTorch.",
    ),
    (
        r"uncorrectable ECC|fallen off the bus|unspecified launch failure",
        "the GPU failed; use another or restart the machine, and start again: training resumes from its newest "
        "checkpoint.",
    ),
    (
        r"device-side assert triggered",
        "a token or label is out of the model's range: the tokenizer does not belong to the model; set "
        "model.base to a complete model directory.",
    ),
    (
        r"EADDRINUSE|[Aa]ddress already in use",
        "the port is in use by another run or a leftover process; end that, or set another port in rdzv_endpoint.",
    ),
    (
        r"Rendezvous\w*Error|client socket has timed out",
        "the machines did not find each other; start all of them with the same rdzv_endpoint, open its port "
        "between them, and set a different node_rank on each.",
    ),
    (
        r"No API key configured|api_key not configured|wandb: ERROR|wandb\.errors\.",
        "Weights & Biases refused access; log in with `wandb login` or set WANDB_API_KEY, set "
        "training.wandb_mode=offline, or turn it off with training.report_to=[].",
    ),
    (
        r"SafetensorError|deserializing header|PytorchStreamReader failed|invalid load key",
        "a weights file is damaged; copy or download the base model again; if it belongs to a checkpoint, delete its "
        "folder and resume from the one before.",
    ),
    (
        r"GatedRepoError|RepositoryNotFoundError|couldn't connect to 'https://huggingface"
        r"|LocalEntryNotFoundError",
        "the hub does not provide the model; download it on a machine with access and set model.base to its directory.",
    ),
    (
        r"collective operation timeout|Timed out waiting \d+ms",
        "one process waited too long for the others; find the first that ended or hung further up in the log. If "
        "none did, check the network between the GPUs with NCCL_DEBUG=INFO.",
    ),
    (
        r"NCCL (error|WARN)|nccl(System|UnhandledCuda|Internal|Remote)Error|DistBackendError",
        "the GPUs cannot communicate; check the network between them, or try NCCL_DEBUG=INFO and NCCL_P2P_DISABLE=1.",
    ),
    (
        r"Signal 7 \(SIGBUS\)|exitcode\s*: -7",
        SHARED_MEMORY,
    ),
    (
        r"Connection (closed|reset) by peer",
        "another process ended first: its lines in the log show why.",
    ),
)
# By signal number, if no line matches.
SIGNALS = {
    4: "this processor lacks instructions that PyTorch was built for; install a PyTorch build for it.",
    7: SHARED_MEMORY,
    9: KILLED,
    11: "a library crashed; check that PyTorch, flash-attn and the driver match, or try dataloader_num_workers=0.",
    15: "it was terminated by SIGTERM; start it again: it resumes from its newest checkpoint.",
}


def advice_for(code: int, lines: Sequence[str]) -> str:
    """One sentence on what to change; if no cause is recognised, it introduces the last lines.

    `lines` are the last LINES_READ at most: with several ranks the cause comes before the launcher's output.
    """
    text = "\n".join(lines)
    found = next((advice for pattern, advice in SIGNS if re.search(pattern, text)), None)
    # a shell reports a signal as 128 plus its number
    signal = -code if code < 0 else code - 128
    return found or SIGNALS.get(signal, "see its last lines:")
