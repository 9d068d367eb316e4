"""The tables and plots of docs/results/training.md, made from the raw files of training.study.

`raw` reads and checks the files, `measures` computes, `tables` and `plots` show, `__main__` is the command.
"""
