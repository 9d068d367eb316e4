"""The command `python -m agent.build_vocabulary`."""

from agent.build_vocabulary.build import main

main()
