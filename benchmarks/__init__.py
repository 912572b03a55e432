"""How fast, as ratios measured in one run against what a user would pick. `make bench` prints the table."""
