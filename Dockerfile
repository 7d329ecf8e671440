# Images of the processes: api and worker (both without torch), engine (NVIDIA), engine-cpu.
#
#   docker build --target api --tag tunery-api .
#
# torch's builds for CPU and CUDA share a version. Where the package index of your house does not
# give the one that a target needs, say where pip finds it:
#
#   docker build --target engine-cpu --build-arg TORCH_OPTIONS="--index-url …" --tag tunery-engine .

ARG PYTHON_IMAGE=python:3.11-slim

FROM ${PYTHON_IMAGE} AS base
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore \
    PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    TUNERY_CACHE_DIR=/var/cache/tunery TUNERY_DATA_DIR=/var/lib/tunery
RUN useradd --system --uid 10001 --user-group --no-create-home tunery \
    && install -d -o tunery -g tunery /var/cache/tunery /var/lib/tunery
WORKDIR /app

# --- api, worker, reconciler and the upgrade of the database ---

FROM base AS services
COPY requirements/services.txt requirements/
RUN pip install --no-deps --require-hashes --requirement requirements/services.txt
COPY . .
RUN pip install --no-deps --no-build-isolation .
USER 10001:10001
ENTRYPOINT ["tunery-server"]

FROM services AS worker
CMD ["worker"]

FROM services AS api
ENV TUNERY_API_HOST=0.0.0.0
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/healthz')"]
CMD ["api"]

# --- engines ---

FROM base AS torch
ARG TORCH_OPTIONS=""
COPY requirements/torch.txt requirements/
RUN pip install ${TORCH_OPTIONS} --requirement requirements/torch.txt
COPY requirements/engine.txt requirements/
RUN pip install --no-deps --require-hashes --requirement requirements/engine.txt
COPY . .
RUN pip install --no-deps --no-build-isolation .
ENV TUNERY_ENGINE_HOST=0.0.0.0
EXPOSE 8001
HEALTHCHECK --interval=10s --timeout=5s --start-period=300s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8001/healthz')"]
ENTRYPOINT ["tunery-server"]
CMD ["engine"]

FROM torch AS engine-cpu
RUN python -c "import torch; assert not torch.version.cuda, 'TORCH_OPTIONS led to a CUDA build'"
USER 10001:10001

FROM torch AS engine
RUN python -c "import torch; assert torch.version.cuda, 'TORCH_OPTIONS led to a CPU build'"
USER 10001:10001
