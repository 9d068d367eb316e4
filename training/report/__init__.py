"""The tables and plots of docs/results/training.md, created from the raw files of training.study.

`raw` reads and validates the files, `measures` computes statistics, `tables` and `plots` create the output, `__main__` is
the command.
"""
