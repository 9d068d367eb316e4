"""The three engines of an agent: frames -> words, words -> memory vector, frame and memory vector -> action distribution.

`load_*` builds an engine from a bundle. The services, the models inside Triton and training all use these functions.
`make_*` builds an engine from its parts, for an agent that is still being trained and has no bundle yet. Each engine has its
own module, because each service installs only the libraries of its own engine.

Failure policy: a missing file raises FileNotFoundError, an invalid value ValueError; both name the file or value.
"""
