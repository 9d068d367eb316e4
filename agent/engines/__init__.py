"""The three engines of an agent: frames -> words, words -> memory vector, frame and vector -> action distribution.

`load_*` builds one from a bundle: the one place where the services, the models inside Triton and training get it. `make_*`
builds it from its parts, for an agent that is still in training and has no bundle yet. A module for each engine, because a
service installs the libraries of its own engine alone.

Failure policy: a missing file raises FileNotFoundError, a value that does not fit ValueError; both name what is at fault.
"""
