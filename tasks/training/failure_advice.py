"""What to change when the training process ended badly, read from its exit code and last lines."""

import re
from collections.abc import Sequence

from tasks.processes import TIME_IS_UP

# torchrun prints some thirty lines of its own after those that say why, and each rank a traceback.
LINES_READ = 400

LESS_GPU_MEMORY = (
    "the GPU is full; lower per_device_train_batch_size and raise gradient_accumulation_steps by as much, set "
    "gradient_checkpointing=true, or take deepspeed zero3 or zero3_offload: `rsvlm preflight` shows what takes the "
    "memory."
)
LESS_HOST_MEMORY = (
    "the machine's memory is full; lower dataloader_num_workers or per_device_train_batch_size, do not offload, or "
    "give the machine or container more."
)
SHARED_MEMORY = (
    "shared memory for the loader's processes ran out; start the container with a larger --shm-size, or set "
    "dataloader_num_workers=0."
)
BUILD_TOOLS = (
    "DeepSpeed compiles a part of itself and found no fitting CUDA toolkit or compiler; set CUDA_HOME to a toolkit of "
    "PyTorch's CUDA version, install g++ and ninja, or take a configuration without offload."
)
KILLED = (
    "the system killed it, most often for want of memory (`dmesg` or the container's events say so); lower "
    "dataloader_num_workers or per_device_train_batch_size, or give it more memory."
)

# Pattern and advice. The first that is found decides: causes stand before what follows from them on other ranks.
SIGNS = (
    (
        re.escape(TIME_IS_UP),
        "raise training.run_timeout_h and start it again: it goes on from its newest checkpoint.",
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
        "the limit of open files is too low; `ulimit -n 65536`, or lower dataloader_num_workers.",
    ),
    (
        r"flash_attn\S*: undefined symbol",
        "flash-attn was built for another PyTorch; build it again (pip install --no-build-isolation "
        "--force-reinstall flash-attn), or uninstall it: SDPA is used then.",
    ),
    (
        r"FlashAttention only supports Ampere",
        "this GPU is too old for flash-attn; uninstall it: SDPA is used then.",
    ),
    (
        r"FlashAttention2 has been toggled on|No module named 'flash_attn|ImportError: .*flash_attn",
        "flash-attn is asked for and missing; install the extra `gpu`, or leave it out: SDPA is used then.",
    ),
    (
        r"is no readable image|cannot identify image file|image file is truncated",
        "an image cannot be read; fetch it again, or set data.broken_images=drop and run the data step again.",
    ),
    (
        r"loss is not a number|loss has been .* since step",
        "lower learning_rate, raise warmup_ratio, or train without bf16.",
    ),
    (
        r"Check batch related parameters|DeepSpeed config values that mismatch",
        "DeepSpeed's batch sizes do not fit; leave them on auto in the configuration of infra/deepspeed: "
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
        'DeepSpeed wants an optimiser of its own for offload; set "zero_force_ds_cpu_optimizer": false in its '
        "configuration.",
    ),
    (
        r"checkpoint being loaded used a DP world size",
        "the checkpoint was written by another number of processes; resume with as many as before.",
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
        "PyTorch's CUDA does not fit the driver or the GPU; update the driver, or install a build of PyTorch for it.",
    ),
    (
        r"uncorrectable ECC|fallen off the bus|unspecified launch failure",
        "the GPU failed; take another or restart the machine, and start again: training goes on from its newest "
        "checkpoint.",
    ),
    (
        r"device-side assert triggered",
        "a token or label is out of the model's range: the tokenizer does not belong to the model; set "
        "model.base to a whole model directory.",
    ),
    (
        r"EADDRINUSE|[Aa]ddress already in use",
        "the port is taken by another run or by what one left behind; end that, or set another port in rdzv_endpoint.",
    ),
    (
        r"Rendezvous\w*Error|client socket has timed out",
        "the machines did not find each other; start all of them with the same rdzv_endpoint, open its port "
        "between them, and give each its own node_rank.",
    ),
    (
        r"No API key configured|api_key not configured|wandb: ERROR|wandb\.errors\.",
        "Weights & Biases refused; log in with `wandb login` or set WANDB_API_KEY, set "
        "training.wandb_mode=offline, or turn it off with training.report_to=[].",
    ),
    (
        r"SafetensorError|deserializing header|PytorchStreamReader failed|invalid load key",
        "a file of weights is damaged; copy or download the base model again; of a checkpoint, delete its folder "
        "and go on from the one before.",
    ),
    (
        r"GatedRepoError|RepositoryNotFoundError|couldn't connect to 'https://huggingface"
        r"|LocalEntryNotFoundError",
        "the model cannot be had from the hub; download it where there is access and set model.base to its directory.",
    ),
    (
        r"collective operation timeout|Timed out waiting \d+ms",
        "one process waited too long for the others; look above in the log for the first that ended or hung. If "
        "none did, check the network between the GPUs with NCCL_DEBUG=INFO.",
    ),
    (
        r"NCCL (error|WARN)|nccl(System|UnhandledCuda|Internal|Remote)Error|DistBackendError",
        "the GPUs cannot talk to each other; check the network between them, or try NCCL_DEBUG=INFO and "
        "NCCL_P2P_DISABLE=1.",
    ),
    (
        r"Signal 7 \(SIGBUS\)|exitcode\s*: -7",
        SHARED_MEMORY,
    ),
    (
        r"Connection (closed|reset) by peer",
        "another process ended first: its own lines in the log say why.",
    ),
)
# Where no line says why: how the operating system ended it.
SIGNALS = {
    4: "this processor lacks instructions that PyTorch was built for; install a build of PyTorch for it.",
    7: SHARED_MEMORY,
    9: KILLED,
    11: "a library crashed; see that PyTorch, flash-attn and the driver fit, or try dataloader_num_workers=0.",
    15: "it was asked to end; start it again: it goes on from its newest checkpoint.",
}


def advice_for(code: int, lines: Sequence[str]) -> str:
    """One sentence on what to change; without a known sign, where to look.

    `lines` may be as many as LINES_READ: with several ranks the reason stands above what their launcher prints.
    """
    text = "\n".join(lines)
    found = next((advice for pattern, advice in SIGNS if re.search(pattern, text)), None)
    # a shell reports a signal as 128 and its number
    signal = -code if code < 0 else code - 128
    return found or SIGNALS.get(signal, "its last lines say why:")
