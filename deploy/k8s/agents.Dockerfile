# The agent bundles of models/ as an image, from which every pod copies them:
#
#   docker build -f deploy/k8s/agents.Dockerfile -t registry.example/shelm/agents:0.1.0 .

FROM busybox:1.37.0-musl
COPY models /bundles
USER 10001:10001
