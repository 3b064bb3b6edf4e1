"""A process that outlives the service for a moment: whatever way the service ends, it kills the process groups that are
left.

Started as a script with the service's temporary folder as its argument. Lines on standard input add (`+123`) and remove
(`-123`) process groups; the end of the input, which comes even when the service is killed, is the signal. Compared with
PR_SET_PDEATHSIG, it reaches what the functions start themselves, does not depend on which thread started what, and
leaves no files behind.
"""

import os
import shutil
import signal
import sys
from contextlib import suppress


def main() -> None:
    """Watch until the input ends, then kill and clean up."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups = set()
    for line in sys.stdin:
        group = int(line[1:])
        if line[0] == "+":
            groups.add(group)
        else:
            groups.discard(group)
    for group in groups:
        with suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
    shutil.rmtree(sys.argv[1], ignore_errors=True)


if __name__ == "__main__":
    main()
