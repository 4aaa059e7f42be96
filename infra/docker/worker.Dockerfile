# A worker without a GPU: prepares data, merges, scores, archives, and runs the toy experiments.
#   docker build -f infra/docker/worker.Dockerfile -t rsvlm-worker .
FROM python:3.11-slim-bookworm

RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc g++ git make \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home rsvlm

WORKDIR /opt/rsvlm
ENV PIP_NO_CACHE_DIR=1 PYTHONUNBUFFERED=1
COPY infra/constraints.txt infra/constraints.txt
# first, in its own layer: the largest layer changes least often
RUN pip install --index-url https://download.pytorch.org/whl/cpu --extra-index-url https://pypi.org/simple \
        -c infra/constraints.txt torch
COPY pyproject.toml README.md LICENSE prefect.yaml ./
COPY flows flows
COPY tasks tasks
COPY deployments deployments
COPY infra infra
RUN pip install -c infra/constraints.txt -e '.[s3,serve,sweep]'

RUN mkdir /workspace && chown rsvlm /workspace
USER rsvlm
ENV RSVLM_WORKSPACE=/workspace
VOLUME /workspace
CMD ["prefect", "worker", "start", "--pool", "cpu"]
