import threading

from lambda_local.activity import Activity
from lambda_local.events import EventBus, MessageQueued, ObjectCreated

FIRST, SECOND = MessageQueued("q", "1", "a"), ObjectCreated("b", "k", 1, None, "ObjectCreated:Put")


def test_bus_delivers_in_order_also_what_came_before_the_start():
    bus, told = EventBus(), []
    bus.subscribe(told.append)
    bus.publish(FIRST)
    bus.start()
    bus.publish(SECOND)
    assert bus.flush(5)
    assert told == [FIRST, SECOND]
    bus.close()


def test_bus_keeps_on_when_a_subscriber_fails(caplog):
    def fail(event):
        raise ValueError("broken subscriber")

    bus, told = EventBus(), []
    bus.start()
    bus.subscribe(fail)
    bus.subscribe(told.append)
    bus.publish(FIRST)
    assert bus.flush(5)
    bus.close()
    assert told == [FIRST]
    assert "a subscriber failed on MessageQueued" in caplog.text


def test_bus_unsubscribe_ends_the_calls():
    bus, told = EventBus(), []
    bus.start()
    end = bus.subscribe(told.append)
    end()
    end()
    bus.publish(FIRST)
    assert bus.flush(5)
    bus.close()
    assert told == []


def test_bus_close_delivers_what_is_queued_and_may_be_called_by_a_subscriber():
    bus, told = EventBus(), []
    bus.subscribe(told.append)
    bus.subscribe(lambda _: bus.close())
    bus.publish(FIRST)
    bus.publish(SECOND)
    bus.start()
    bus.close()
    assert told == [FIRST, SECOND]


def test_activity_is_idle_only_when_every_piece_has_ended():
    activity = Activity()
    assert activity.wait_idle(0)
    with activity.piece():
        activity.begin()
        assert not activity.wait_idle(0.01)
    assert activity.count == 1
    threading.Timer(0.05, activity.end).start()
    assert activity.wait_idle(5)


def test_activity_piece_ends_with_its_block_also_on_an_error():
    activity = Activity()
    try:
        with activity.piece():
            raise ValueError
    except ValueError:
        pass
    assert activity.wait_idle(0)
