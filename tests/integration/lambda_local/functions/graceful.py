"""Says when it is asked to end, and ends only if the event `ends` said so."""

import os
import signal
import threading

will_end = False


def listen(reader):
    os.read(reader, 1)
    print("asked to end")  # noqa: T201
    if will_end:
        os._exit(0)


# A wake-up descriptor is written to when the signal comes. A handler would have to wait until the runtime is back from
# asking for its next event, where Python is older than 3.12.
reader, writer = os.pipe()
os.set_blocking(writer, False)
signal.signal(signal.SIGTERM, lambda *_: None)
signal.set_wakeup_fd(writer)
threading.Thread(target=listen, args=[reader], daemon=True).start()


def handler(event, context):
    global will_end  # noqa: PLW0603 - read by the thread
    will_end = event.get("ends", False)
    return "there"
