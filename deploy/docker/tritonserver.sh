#!/bin/sh
# Triton as every deployment starts it; arguments are added. Models join and leave it with `python -m services.triton.control`.
set -eu
key=${TMPDIR:-/tmp}/key  # also what an operator in the container reads
(umask 077 && python3 -c 'import secrets; print(secrets.token_hex(16))' > "$key")
# Not strict: while a bundle is loaded, the others are served. The services ask for the models that they need.
# They ping connections without data every 10 s. Nobody needs shared memory, with which CVE-2025-23334 and others began.
exec tritonserver \
    --disable-auto-complete-config \
    --model-control-mode=explicit \
    '--load-model=*' \
    --strict-readiness=false \
    --allow-http=false \
    --grpc-restricted-protocol="model-repository,shared-memory,logging,trace:shelm-key=$(cat "$key")" \
    --grpc-keepalive-permit-without-calls=1 \
    --grpc-http2-min-recv-ping-interval-without-data=5000 \
    "$@"
