#!/usr/bin/env bash
# Does a cluster serve, and go on when pods are lost?  deploy/k8s/smoke.sh [OVERLAY]
#
# Applies the overlay (laptop) to the cluster of kubectl's context, with secrets of its own in the namespace shelm, plays 30
# episodes through a port-forward, and meanwhile deletes the pods of policy, memory and Redis, one after the other. Ends with 0 if
# every episode was played to its end. Needs `shelm` with MiniGrid (make setup-serve); it takes minutes and leaves all running.
set -euo pipefail
overlay=${1:-$(dirname "$0")/overlays/laptop}
shelm=${SHELM:-shelm}
port=${SHELM_SMOKE_PORT:-50051}
episodes=${SHELM_SMOKE_EPISODES:-30}
pause=${SHELM_SMOKE_PAUSE:-10} # seconds between two deaths

apply() { "$@" --dry-run=client -o yaml | kubectl apply -f -; }
apply kubectl create namespace shelm
token=$(openssl rand -hex 24)
apply kubectl -n shelm create secret generic shelm-redis --from-literal=password="$(openssl rand -hex 24)"
apply kubectl -n shelm create secret generic shelm-tokens \
  --from-literal=tokens="$(printf '%s smoke act,read\n%s policy inner' "$token" "$(openssl rand -hex 24)")"
kubectl apply -k "$overlay"
for one in statefulset/redis deployment/retrieval deployment/memory deployment/policy; do
  kubectl -n shelm rollout status "$one" --timeout=10m
done

forwarded() { # a port-forward ends with the pod it leads to
  trap 'kill "$child"; exit' TERM
  while :; do
    kubectl -n shelm port-forward service/policy "$port:50051" &
    child=$!
    wait "$child" || sleep 1
  done
}
forwarded &
forward=$!
trap 'kill "$forward"' EXIT

SHELM_TOKEN=$token "$shelm" play --target "127.0.0.1:$port" --env MiniGrid-MemoryS11-v0 --episodes "$episodes" --timeout 300 --quiet &
player=$!
for one in policy memory redis; do
  sleep "$pause"
  kill -0 "$player" || break # it has ended
  kubectl -n shelm delete pod -l app.kubernetes.io/name="$one" --wait=false
done
wait "$player"
