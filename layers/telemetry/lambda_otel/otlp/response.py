"""What a Collector answers: `partial_success` of an Export...ServiceResponse."""


def rejected_items(body: bytes) -> int:
    """How many spans, data points or log records of a request the Collector refused.

    All three responses have the same form: field 1 is a message whose field 1 is that number. A body that is of another
    form refuses nothing: the status said success.
    """
    try:
        fields = _fields(body)
        success = fields.get(1, b"")
        rejected = _fields(success).get(1, 0) if isinstance(success, bytes) else 0
    except (IndexError, ValueError):
        return 0
    return rejected if isinstance(rejected, int) else 0


def _fields(message: bytes) -> dict[int, int | bytes]:
    fields: dict[int, int | bytes] = {}
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        value, position = _varint(message, position)
        if tag & 7 == 0:
            fields[tag >> 3] = value
        elif tag & 7 == 2 and position + value <= len(message):
            fields[tag >> 3] = message[position : position + value]
            position += value
        else:
            raise ValueError("expected numbers and messages only")
    return fields


def _varint(message: bytes, position: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = message[position]
        position += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, position
        shift += 7
        if shift > 63:
            raise ValueError("expected a number of 64 bits")
