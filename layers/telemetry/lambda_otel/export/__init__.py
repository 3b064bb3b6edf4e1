"""From ended spans, log records and metrics to a Collector that has acknowledged them."""
