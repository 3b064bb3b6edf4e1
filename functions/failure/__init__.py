"""The failure queue -> `errors/<run id>.failure.json`: what failed after all retries, and what to retry it with."""
