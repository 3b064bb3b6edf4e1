"""A function that needs nothing."""


def handler(_event, _context):
    return {"ok": True}
