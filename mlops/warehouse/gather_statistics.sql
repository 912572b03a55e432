-- Analyze a hypertable of forecasts where much of it is new. One row, with whether it was done.
SELECT ml.gather_statistics(:hypertable, :n_written)
