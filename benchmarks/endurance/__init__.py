"""What the services bear for long: more load than they can serve, more episodes than they have slots, lives that never stop.

`python -m benchmarks.endurance` measures it, `python -m benchmarks.endurance.page` makes docs/results/load.md of the result.
"""
