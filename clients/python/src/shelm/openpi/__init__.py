"""Serves an agent to clients of openpi's websocket policy server: python -m shelm.openpi --target ... --listen ...

Protocol: the server sends its metadata when a client connects; then every message is an observation and is answered with
actions. Messages are MessagePack; arrays are maps of `__ndarray__`, `data`, `dtype`, `shape`, of numbers only. An
observation contains the frame, uint8 (height, width, 3) or with its channels first, under "observation/image" or "image".
The answer contains "actions", a chunk of one step: int64 (1,), float32 (1, dimensions), or a dict of these; and "words",
"similarities", "value", "episode_id", "step". GET /healthz answers 200 while the SHELM server serves, else 503.

Episodes: openpi's protocol has none, so an observation must say where one begins: with "reset": True in its first
observation, or with an "episode_id". An observation with "episode_id" belongs to that episode, which can continue after the
connection closes; with the simulator's own "step", sending an observation again is a retry. Of the others, a connection has
one running episode for each "env_id" (one in all without it); it ends with the next reset, or with the connection. Where
nothing says reset the first observation is refused, unless --connection-is-episode says that each connection is one episode.

Failure policy: an error is sent as a text message, and the connection stays open, so the same observation may be sent again.
An `Authorization: Api-Key KEY` of the client is its bearer token. With a token of its own (SHELM_TOKEN) the adapter listens
on loopback only, because everyone who connects may use it. Needs the extra: pip install "shelm-client[openpi]".
"""
