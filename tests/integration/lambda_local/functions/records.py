"""Prints, logs and raises, and writes bytes of the event's into Lambda's log descriptor."""

import logging


class DemandedError(Exception):
    pass


def handler(event, context):
    print("printed")  # noqa: T201
    logging.getLogger().handlers[0].log_sink.file.write(bytes.fromhex(event.get("raw", "")))
    logging.getLogger("app").info("told at INFO")
    logging.getLogger("app").warning("two\nlines", extra={"scan": 7})
    if event["do"] == "raise":
        raise DemandedError("as demanded")
