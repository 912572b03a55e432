-- Declare what a model is asked, and read what it is asked: what was declared before stands.
-- Grain: one row, the model.
SELECT model, timeframe, target, horizons, universe
FROM ml.declare_model(:model, :timeframe, CAST(:horizons AS integer []), CAST(:universe AS jsonb), :target)
