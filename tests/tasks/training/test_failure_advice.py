"""The error of a failed training says what to change."""

import pytest

from tasks.training.failure_advice import LINES_READ, advice_for

# What torchrun prints after the cause when a rank ends.
TORCHRUN_END = [
    "torch.distributed.elastic.multiprocessing.errors.ChildFailedError: ",
    "tasks.training.worker FAILED",
    "Root Cause (first observed failure):",
    "  rank      : 0 (local_rank: 0)",
    "  exitcode  : 1 (pid: 4711)",
    "  traceback : To enable traceback see: https://pytorch.org/docs/stable/elastic/errors.html",
]


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        (
            "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.96 GiB.",
            "per_device_train_batch_size",
        ),
        ("RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED in `cublasCreate`", "the GPU is out of memory"),
        ("ncclUnhandledCudaError: Call to CUDA failed. Cuda failure 2 'out of memory'", "the GPU is out of memory"),
        (
            "RuntimeError: [enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory: you tried",
            "the machine is out of memory",
        ),
        ("OSError: [Errno 12] Cannot allocate memory", "the machine is out of memory"),
        ("numpy._core._exceptions._ArrayMemoryError: Unable to allocate 4 GiB", "the machine is out of memory"),
        ("MemoryError", "the machine is out of memory"),
        ("RuntimeError: DataLoader worker (pid 812) is killed by signal: Killed. ", "dataloader_num_workers"),
        (
            "ERROR: Unexpected bus error encountered in worker. Perhaps insufficient shared memory.\n"
            "RuntimeError: DataLoader worker (pid(s) 812) is killed by signal: Bus error.",
            "--shm-size",
        ),
        ("RuntimeError: unable to open shared memory object </torch_91_2> in read-write mode", "--shm-size"),
        ("OSError: [Errno 24] Too many open files: '/data/imagenes/LR/Train/1.tif'", "ulimit -n"),
        ("OSError: [Errno 28] No space left on device", "free space"),
        ("safetensors_rust.SafetensorError: I/O error: No space left on device (os error 28)", "free space"),
        ("OSError: [Errno 122] Disk quota exceeded", "free space"),
        ("RuntimeError: [enforce fail] . PytorchStreamWriter failed writing file", "free space"),
        (
            "ImportError: FlashAttention2 has been toggled on, but it cannot be used due to the following error: the "
            "package flash_attn seems to be not installed.",
            "extra `gpu`",
        ),
        ("ModuleNotFoundError: No module named 'flash_attn'", "extra `gpu`"),
        (
            "ImportError: /venv/flash_attn_2_cuda.cpython-311-x86_64.so: undefined symbol: _ZN3c104cuda9",
            "another PyTorch",
        ),
        ("RuntimeError: FlashAttention only supports Ampere GPUs or newer.", "too old for flash-attn"),
        ("error: /data/LR/Train/1.tif is not a readable image (image file is truncated)", "data.broken_images=drop"),
        (
            "AssertionError: Check batch related parameters. train_batch_size is not equal to micro_batch_per_gpu * "
            "gradient_acc_step * world_size 80 != 2 * 10 * 1",
            "per_device_train_batch_size and gradient_accumulation_steps decide",
        ),
        (
            "ValueError: Please correct the following DeepSpeed config values that mismatch TrainingArguments values:",
            "batch sizes do not match",
        ),
        (
            "op_builder.builder.MissingCUDAException: CUDA_HOME does not exist, unable to compile CUDA op(s)",
            "set CUDA_HOME",
        ),
        (
            ">- DeepSpeed Op Builder: Installed CUDA version 11.8 does not match the version torch was compiled "
            "with 12.8, unable to compile cuda/cpp extensions without a matching cuda version.",
            "PyTorch's CUDA version",
        ),
        ("RuntimeError: Error building extension 'cpu_adam'", "g++ and ninja"),
        (
            "ZeRORuntimeException: You are using ZeRO-Offload with a client provided optimizer",
            "zero_force_ds_cpu_optimizer",
        ),
        (
            "ZeRORuntimeException: The checkpoint being loaded used a DP world size of 4",
            "as many as before",
        ),
        ("ValueError: Your setup doesn't support bf16/gpu. You need to assign use_cpu if you", "training.bf16=false"),
        ("RuntimeError: \"addmm_impl_cpu_\" not implemented for 'BFloat16'", "training.bf16=false"),
        ("RuntimeError: CUDA error: invalid device ordinal", "training.nproc_per_node"),
        ("AssertionError: Torch not compiled with CUDA enabled", "CUDA build of PyTorch"),
        (
            "RuntimeError: The NVIDIA driver on your system is too old (found version 11040).",
            "update the driver",
        ),
        ("RuntimeError: CUDA error: no kernel image is available", "does not match the driver"),
        ("RuntimeError: CUDA error: uncorrectable ECC error encountered", "the GPU failed"),
        ("RuntimeError: CUDA error: device-side assert triggered", "tokenizer does not belong"),
        (
            "torch.distributed.DistNetworkError: The server socket has failed to listen. port: "
            "29500, useIpv6: 0, code: -98, name: EADDRINUSE, message: address already in use",
            "port is in use",
        ),
        (
            "RendezvousConnectionError: The connection to the C10d store has failed.",
            "rdzv_endpoint",
        ),
        (
            "wandb.errors.errors.UsageError: No API key configured. Use `wandb login` to log in.",
            "training.report_to=[]",
        ),
        ("wandb.errors.errors.CommError: permission denied (HTTP 403)", "Weights & Biases refused"),
        (
            "SafetensorError: Error while deserializing header: incomplete metadata, file not fully covered",
            "is damaged",
        ),
        ("RuntimeError: PytorchStreamReader failed reading zip archive", "is damaged"),
        (
            "OSError: We couldn't connect to 'https://huggingface.co' to load the files",
            "set model.base to its directory",
        ),
        (
            "[Rank 0] Watchdog caught collective operation timeout: "
            "WorkNCCL(SeqNum=1580, OpType=ALLREDUCE, Timeout(ms)=600000) ran for 600004 milliseconds",
            "waited too long",
        ),
        (
            "torch.distributed.DistBackendError: NCCL error in: ProcessGroupNCCL.cpp:3356, unhandled system error",
            "network between them",
        ),
        ("RuntimeError: [gloo] Connection closed by peer [127.0.0.1]:3", "another process"),
        ("  traceback : Signal 9 (SIGKILL) received by PID 14750", "the system killed it"),
        ("error: The loss has been nan since step 7", "lower learning_rate"),
        ("ended after 60 s: its time limit has passed", "run_timeout_h"),
    ],
)  # fmt: skip
def test_known_cause_above_the_launcher_output_gives_its_advice(line: str, advice: str) -> None:
    assert advice in advice_for(1, ["step 1", *line.split("\n"), *TORCHRUN_END])


def test_killed_rank_takes_precedence_over_nccl_errors_of_others() -> None:
    lines = [
        "[rank1]: torch.distributed.DistBackendError: NCCL error in: ProcessGroupNCCL.cpp:3356, remote process exited",
        "  exitcode  : -9 (pid: 14750)",
    ]
    assert "the system killed it" in advice_for(1, lines)


@pytest.mark.parametrize("code", [-9, 137])
def test_sigkill_gives_the_advice_on_memory(code: int) -> None:
    assert "the system killed it" in advice_for(code, ["step 1"])


@pytest.mark.parametrize(
    ("code", "advice"),
    [(-11, "crashed"), (139, "crashed"), (-7, "--shm-size"), (-15, "newest checkpoint"), (-4, "lacks")],
)
def test_signal_gives_its_advice(code: int, advice: str) -> None:
    assert advice in advice_for(code, ["step 1"])


def test_normal_output_matches_no_cause() -> None:
    lines = [
        "attention: sdpa, because flash-attn is not installed (the extra `gpu`)",
        "NCCL version 2.27.5+cuda12.9",
        "[WARNING] [real_accelerator.py:213] Setting accelerator to CPU.",
        "wandb: Tracking run with wandb version 0.31.0",
        "step 4/4: loss 0.1, learning rate 1.0e-05, 3.1 samples/s",
    ]
    assert advice_for(1, [*lines, "Traceback", "KeyError: 'x'"]) == "see its last lines:"
    assert LINES_READ > 100
