from lambda_local.s3_faults import RESET, SLOW_DOWN, Faults, S3Request

PUT = S3Request("PUT", "raw", "a/b", caller="first")
GET = S3Request("GET", "raw", "a/b", caller="second")


def test_chosen_asks_where_and_counts():
    faults = Faults()
    active = faults.add(SLOW_DOWN, where=lambda request: request.caller == "first", times=2)
    assert [faults.chosen(request) for request in (GET, PUT, PUT, PUT)] == [None, SLOW_DOWN, SLOW_DOWN, None]
    assert active.hits == 2


def test_chosen_takes_a_fraction_repeatably():
    def hits(seed):
        faults = Faults(seed)
        faults.add(RESET, fraction=0.3)
        return [faults.chosen(PUT) is RESET for _ in range(200)]

    assert hits(1) == hits(1)
    assert hits(1) != hits(2)
    assert 30 <= sum(hits(1)) <= 90


def test_remove_and_clear_end_faults():
    faults = Faults()
    first = faults.add(SLOW_DOWN)
    faults.add(RESET)
    faults.remove(first)
    faults.remove(first)
    assert faults.chosen(PUT) is RESET
    faults.clear()
    assert faults.chosen(PUT) is None
