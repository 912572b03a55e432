"""What the scheduler runs: thin wiring, one file a job, no SQL and no maths.

Each job takes a warehouse and its `as_of` (UTC), may be run again for the same `as_of`, and leaves a row in
`monitoring.job_runs`. `daily` strings them together; `daemon` is the only module that knows APScheduler.
"""
