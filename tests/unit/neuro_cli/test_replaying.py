import json

import pytest

from neuro_cli.deployed.replaying import FUNCTIONS, load_event, plan_replay
from neuro_cli.deployed.target import Target
from neuro_cli.errors import CliError
from pipeline.events import REPLAY_FIELD, decode_objects
from pipeline.keys import STAGES, run_id

RUN = "74c3cbc1baa133bdf383687e"


@pytest.fixture
def target():
    names = {logical_id: f"stack-{logical_id}-1A2B" for logical_id in (*FUNCTIONS.values(), "Failure")}
    return Target("test", "neuro-preprocess-raw", "neuro-preprocess-work", "neuro-preprocess-derivatives", names)


def test_functions_are_those_of_the_template(sample_event):
    import yaml

    from neuro_cli.project import find_project

    class Loader(yaml.SafeLoader):
        """Reads CloudFormation's tags as what stands behind them."""

    Loader.add_multi_constructor("!", lambda loader, _, node: None)
    resources = yaml.load(find_project().template.read_text(), Loader)["Resources"]
    assert set(FUNCTIONS.values()) <= set(resources)
    assert resources["SkullStrip"]["Properties"]["Handler"] == "skull_strip.app.handler"


@pytest.mark.parametrize(
    ("event", "function"),
    [
        ("s3-put", "Conform"),
        ("s3-put-special-key", "Conform"),
        ("s3-put-two-records", "Conform"),
        ("s3-put-companion", "Conform"),
        ("s3-multipart", "Conform"),
        ("s3-test-event", "Conform"),
        ("eventbridge-object-created", "Conform"),
        ("s3-put-by-conform", "SkullStrip"),
        ("s3-put-by-skull-strip", "BiasCorrect"),
        ("s3-put-by-bias-correct", "Normalize"),
        ("s3-put-by-normalize", "Report"),
        ("sqs-failure", "Failure"),
    ],
)
def test_function_is_found_from_the_event(target, sample_event, event, function):
    replay = plan_replay(sample_event(event), target, None, is_forced=False)
    assert replay.function == f"stack-{function}-1A2B"
    assert replay.event == sample_event(event)


def test_run_is_named(target, sample_event):
    assert plan_replay(sample_event("s3-put-by-conform"), target, None, is_forced=False).run_ids == (RUN,)
    (source,) = decode_objects(sample_event("s3-put"))
    assert plan_replay(sample_event("s3-put"), target, None, is_forced=False).run_ids == (run_id(source),)


def test_force_makes_a_new_run_each_time(target, sample_event):
    event = sample_event("s3-put")
    once, again = (plan_replay(event, target, None, is_forced=True) for _ in range(2))
    assert REPLAY_FIELD not in event
    runs = {once.run_ids, again.run_ids, plan_replay(event, target, None, is_forced=False).run_ids}
    assert len(runs) == 3
    (source,) = decode_objects(once.event)
    assert source.replay == once.event[REPLAY_FIELD]


def test_force_needs_an_upload(target, sample_event):
    with pytest.raises(CliError, match="begins at its upload"):
        plan_replay(sample_event("s3-put-by-conform"), target, None, is_forced=True)


@pytest.mark.parametrize("name", ["Report", "someone-s-own-function"])
def test_named_function_is_taken(target, sample_event, name):
    replay = plan_replay(sample_event("s3-put"), target, name, is_forced=False)
    assert replay.function == target.functions.get(name, name)


def test_event_for_no_stage_needs_a_function(target, sample_event):
    with pytest.raises(CliError, match="tells of no object") as caught:
        plan_replay(sample_event("schedule"), target, None, is_forced=False)
    assert "--function" in caught.value.hint
    assert plan_replay(sample_event("schedule"), target, "Redrive", is_forced=False).function == "Redrive"


def test_event_for_two_functions_needs_one_named(target, sample_event):
    event = {"Records": sample_event("s3-put")["Records"] + sample_event("s3-put-by-conform")["Records"]}
    with pytest.raises(CliError, match="several functions"):
        plan_replay(event, target, None, is_forced=False)


def test_last_stage_s_output_is_no_one_s_event(target, sample_event):
    event = sample_event("s3-put-by-normalize")
    event["Records"][0]["s3"]["object"]["key"] = f"{STAGES[-1]}/{RUN}.json"
    with pytest.raises(CliError, match="no function is invoked with it"):
        plan_replay(event, target, None, is_forced=False)


def test_work_key_in_another_bucket_is_an_upload(target, sample_event):
    event = sample_event("s3-put-by-conform")
    event["Records"][0]["s3"]["bucket"]["name"] = "theirs"
    assert plan_replay(event, target, None, is_forced=False).function == "stack-Conform-1A2B"


def test_failure_file_gives_the_event_that_failed(target, sample_event, tmp_path):
    path = tmp_path / f"{RUN}.failure.json"
    path.write_text(json.dumps({"run_id": RUN, "stage": "conform", "event": sample_event("s3-put")}))
    assert load_event(target, str(path)) == sample_event("s3-put")


def test_error_file_has_nothing_to_replay(target, tmp_path):
    path = tmp_path / f"{RUN}.error.json"
    path.write_text(json.dumps({"run_id": RUN, "code": "EMPTY", "message": "no bytes"}))
    with pytest.raises(CliError, match="there is no event in it"):
        load_event(target, str(path))


@pytest.mark.parametrize(
    ("content", "words"), [("not json", "expected an event as JSON"), ("[]", "holds a list"), ("3", "holds a int")]
)
def test_what_is_no_event_is_refused(target, tmp_path, content, words):
    path = tmp_path / "event.json"
    path.write_text(content)
    with pytest.raises(CliError, match=words):
        load_event(target, str(path))


def test_missing_event_file_is_told(target, tmp_path):
    with pytest.raises(CliError, match="cannot be read: no such file"):
        load_event(target, str(tmp_path / "none.json"))
