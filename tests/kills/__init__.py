"""Kill each stage again and again, run it again, and compare with a run that nobody disturbed.

    PYTHONPATH=tests python -m kills --kills 71 --seed 1

runs all steps twice on real prices, each time in a database of its own: once undisturbed, and once killing what runs,
again and again. At the end both must hold the same: nothing lost, nothing doubled, nothing left behind.

- `steps` is what is run: migrate, ingest, build, check, train, some daily jobs, train again, build anew.
- `workshop` runs a command in a process that can be killed, at no cost for loading what it needs.
- `moments` counts what a command does to the database and to files, and kills it just before one of these.
- `content` is what a database and an inbox hold in the end.
- `harness` deals out the kills and compares.
"""
