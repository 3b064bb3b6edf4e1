"""Many environments that are frozen for times of all lengths, before a backend that is slow and forgets connections."""

from __future__ import annotations

import random
import time

import pytest

from .sink import Answer, Sink
from .world import Traffic

ENVIRONMENTS, INVOCATIONS = 8, 125


@pytest.mark.timeout(240)
def test_nothing_is_lost_over_a_thousand_invocations_and_freezes(journal, sink: Sink, start_world, tell):
    answers = random.Random(1)
    sink.answer = lambda _path, _size: Answer(hang_s=answers.choice((0.0, 0.0, 0.02, 0.1)))
    names = [f"environment-{number}" for number in range(ENVIRONMENTS)]

    def call(function: str) -> None:
        random_ = random.Random(function)
        is_rare = function.endswith(("6", "7"))
        for number in range(INVOCATIONS):
            answer = world.invoke(function, spans=random_.randint(0, 4))
            assert not answer.error
            if number % 40 == 20:
                time.sleep(0.1)
                sink.break_connections()  # while this environment is frozen; what others send meanwhile breaks too
            time.sleep(random_.uniform(0.05, 0.5) if is_rare else random_.choice((0, 0.005, 0.02, 0.3)))

    with start_world({name: {"OTEL_EXPORTER_OTLP_ENDPOINT": sink.url} for name in names}) as world:
        Traffic(world).run(dict.fromkeys(names, call))
        world.await_end(*names)
        arrived = sink.span_counts() + world.in_bucket()

    assert len(journal.lines("returned")) == ENVIRONMENTS * INVOCATIONS
    found = world.balance_of(journal.spans("begun"), arrived)
    tell(f"freezes: {found}, {sum(world.stopped.values())} environments")
    assert not found.missing, str(found)
    assert not any(span.status.code == span.status.STATUS_CODE_ERROR for span in sink.spans())
    # One more is made where a caller comes back while the last one still delivers.
    assert ENVIRONMENTS <= sum(world.stopped.values()) < INVOCATIONS
