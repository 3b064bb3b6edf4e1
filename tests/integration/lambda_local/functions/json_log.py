"""Prints an object, a line that is none, and JSON that is no object."""


def handler(event, context):
    print('{"level": "INFO", "message": "one"}')  # noqa: T201
    print("no JSON")  # noqa: T201
    print(3)  # noqa: T201
