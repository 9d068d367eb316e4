"""The same agent behind other servers: LitServe and Ray Serve, each with an adapter of ours, beside our own services.

`python -m benchmarks.peers` measures them; `make peers-setup` installs them into an environment of their own, `.peers`. An
adapter (`litserve_app`, `ray_app`) is what a user of that framework would write: the engines of `agent/` in one worker,
which alone knows the state of every session, with the framework's own batching, over its ordinary transport, JSON over HTTP.

What those servers do not do, which is in their favour: they store nothing, so a session ends with its process and an answer
comes without a commit on disk; an Act that is sent twice is two steps, where ours is one; there are no replicas, because a
session lives in one worker; no words can be read later, no metrics or traces are kept, and no token or field is checked.
"""
