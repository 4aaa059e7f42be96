# Training and inference on NVIDIA GPUs, with flash-attn and DeepSpeed. The driver comes from the host
# (nvidia-container-toolkit); nvcc is in the image, since DeepSpeed builds its operators on first use.
#   docker build -f infra/docker/training.Dockerfile -t rsvlm-training .
#   docker run --gpus all --shm-size 16g -v WORKSPACE:/workspace -v DATA:/data:ro rsvlm-training \
#       rsvlm run llava-1.5-7b-lora --set data.root=/data --workspace /workspace
FROM nvidia/cuda:12.8.1-cudnn-devel-ubuntu24.04

RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        gcc g++ git make ninja-build python3 python3-dev python3-venv \
    && rm -rf /var/lib/apt/lists/* \
    && userdel --remove ubuntu && useradd --create-home --uid 1000 rsvlm \
    && python3 -m venv /opt/venv

WORKDIR /opt/rsvlm
ENV PATH=/opt/venv/bin:$PATH PIP_NO_CACHE_DIR=1 PYTHONUNBUFFERED=1 CUDA_HOME=/usr/local/cuda
# must match the CUDA version above
ARG TORCH_INDEX=https://download.pytorch.org/whl/cu128
COPY infra/constraints.txt infra/constraints.txt
RUN pip install --index-url "$TORCH_INDEX" --extra-index-url https://pypi.org/simple -c infra/constraints.txt torch
# built against the installed PyTorch, so without build isolation; use fewer jobs if memory is short
ARG MAX_JOBS=4
RUN pip install -c infra/constraints.txt packaging setuptools wheel ninja psutil \
    && MAX_JOBS=$MAX_JOBS pip install --no-build-isolation 'flash-attn>=2.7'
COPY pyproject.toml README.md LICENSE prefect.yaml ./
COPY flows flows
COPY tasks tasks
COPY deployments deployments
COPY infra infra
# for infra/kubernetes/ray.yaml: --build-arg EXTRAS=gpu,s3,sweep,ray
ARG EXTRAS=gpu,s3,sweep
RUN pip install -c infra/constraints.txt -e ".[$EXTRAS]"

RUN mkdir /workspace && chown rsvlm /workspace
USER rsvlm
ENV RSVLM_WORKSPACE=/workspace
VOLUME /workspace
CMD ["prefect", "worker", "start", "--pool", "gpu"]
