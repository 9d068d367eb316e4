# shellcheck shell=sh
# Makes one cluster of the nodes in REDIS_NODES (HOST:PORT ...), three masters with a replica each, unless there is one.
set -eu
call() { node=$1; shift; redis-cli -h "${node%:*}" -p "${node##*:}" "$@"; }
addresses=""
for node in $REDIS_NODES; do
  until call "$node" ping | grep -q PONG; do sleep 1; done
  addresses="$addresses $(getent hosts "${node%:*}" | cut -d' ' -f1 | head -n 1):${node##*:}"
  first=$node
done
if call "$first" cluster info | grep -q '^cluster_known_nodes:1[^0-9]*$'; then
  # shellcheck disable=SC2086 # one argument per node
  redis-cli --cluster create $addresses --cluster-replicas 1 --cluster-yes
fi
until call "$first" cluster info | grep -q 'cluster_state:ok'; do sleep 1; done
for node in $REDIS_NODES; do # every node knows its role: a master with its replica, or a replica with its master
  until call "$node" info replication | grep -Eq 'connected_slaves:[1-9]|master_link_status:up'; do sleep 1; done
done
echo "the cluster is there"
