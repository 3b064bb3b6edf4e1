import logging
import sys
from types import ModuleType, SimpleNamespace

import pytest

from lambda_otel import aws
from lambda_otel.settings import Settings


@pytest.fixture
def loaded(monkeypatch, fake_module):
    """botocore and s3transfer, as if they had been imported."""
    client, futures = ModuleType("botocore.client"), ModuleType("s3transfer.futures")
    client.BaseClient = fake_module.BaseClient
    futures.BoundedExecutor = type("BoundedExecutor", (), {"submit": lambda *_: None})
    monkeypatch.setitem(sys.modules, client.__name__, client)
    monkeypatch.setitem(sys.modules, futures.__name__, futures)
    return SimpleNamespace(call=client.BaseClient._make_api_call, client=client, futures=futures)


def test_libraries_that_are_there_are_hooked_at_once(loaded, drops):
    submit = loaded.futures.BoundedExecutor.submit

    aws.install(Settings({}), drops)

    assert loaded.client.BaseClient._make_api_call is not loaded.call
    assert loaded.futures.BoundedExecutor.submit is not submit


def test_libraries_stay_as_they_are_where_the_user_has_disabled_it(loaded, drops):
    aws.install(Settings({"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "requests, botocore"}), drops)

    assert loaded.client.BaseClient._make_api_call is loaded.call


def test_library_of_another_form_is_left_alone(loaded, drops, caplog):
    del loaded.client.BaseClient
    del loaded.futures.BoundedExecutor

    aws.install(Settings({}), drops)

    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2


@pytest.mark.parametrize(
    ("text", "services"),
    [
        ("", ("s3", "sqs", "sns", "lambda", "events")),
        ("s3, sqs", ("s3", "sqs")),
        ("none", ()),
        ("s3,nothing", ("s3", "sqs", "sns", "lambda", "events")),
    ],
)
def test_setting_names_the_services_that_get_the_context(text, services):
    assert Settings({"OTEL_LAMBDA_AWS_INJECT": text})["OTEL_LAMBDA_AWS_INJECT"] == services
