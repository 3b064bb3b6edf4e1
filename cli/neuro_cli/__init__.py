"""The `neuro-preprocess` command: the pipeline in one process, the local service, and what a person asks of either."""
