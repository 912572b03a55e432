"""What the scheduler runs: thin wiring, one file a job, no SQL and no maths.

Each job takes a warehouse and its `as_of` (UTC), may be run again for the same `as_of`, and leaves a row in
`monitoring.job_runs`. `daily` strings them together.

The daemon: `crontab` says when something is due (the only module that knows APScheduler), `due` what of a job is,
`keeper` does it, marks what was missed and tries again, and `daemon` is the process that all of it runs in.
"""
