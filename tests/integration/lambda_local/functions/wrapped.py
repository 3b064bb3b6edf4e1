"""Shows what the wrapper script and the layers did."""

import os

import in_layer


def handler(event, context):
    return {"layer": in_layer.NAME, "wrapped": os.environ.get("WRAPPED")}
