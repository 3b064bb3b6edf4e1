"""Takes a second to be imported."""

import time

time.sleep(1)


def handler(event, context):
    return "there"
