# shellcheck shell=sh
# After a start: tells the other nodes of an existing cluster this node's new address, and it theirs. When all pods are
# gone at once, no node knows an address of another; gossip alone would never bring them together again. Never fails: a node
# that cannot be reached now does the same when it starts.
until redis-cli ping | grep -q PONG; do sleep 1; done # loading a long AOF takes its time; the script ends with the container
redis-cli cluster info | grep -q '^cluster_known_nodes:1[^0-9]*$' && exit 0 # not in a cluster yet
for node in $REDIS_NODES; do
  address=$(getent hosts "${node%:*}" | cut -d' ' -f1 | head -n 1)
  [ -n "$address" ] && redis-cli cluster meet "$address" "${node##*:}"
done
exit 0
