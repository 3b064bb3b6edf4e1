"""Environments that end while the backend is down: all of it lies in the bucket, and is redriven when it is back."""

from __future__ import annotations

from .world import REDRIVE, SCHEDULE

ENVIRONMENTS = 4


def test_nothing_is_lost_when_environments_end_in_an_outage(start_world, journal, sink, tell):
    names = [f"environment-{number}" for number in range(ENVIRONMENTS)]
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": sink.url}
    with start_world(dict.fromkeys(names, endpoint), redrive_to=sink.url) as world:
        sink.vanish()
        for _ in range(20):
            for name in names:
                assert not world.invoke(name, spans=5).error
        world.await_end(*names)
        assert world.service.drain(60), "redriving was tried when the objects came"
        assert not sink.span_counts()
        handed_over = world.balance_of(journal.spans("begun"), world.in_bucket())
        tell(f"handed over: {handed_over}, in {len(world.keys())} objects")
        assert not handed_over.missing, str(handed_over)

        sink.listen()
        world.service.fire_schedule(SCHEDULE)
        assert world.service.drain(60)

        redriven = world.balance_of(journal.spans("begun"), sink.span_counts())
        tell(f"redriven: {redriven}")
        assert not redriven.missing, str(redriven)
        assert world.keys() == []
        assert not [event for event in world.ended if event.function == REDRIVE and event.outcome != "ok"]
