import json

import pytest

from lambda_otel.detectors.deployment import DeploymentDetector
from lambda_otel.resource import detect


def detected(tmp_path, content):
    path = tmp_path / "version.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return dict(DeploymentDetector(str(path)).detect().attributes)


def test_short_names_become_the_conventions_and_others_stay(tmp_path):
    content = {
        "version": "1.4.2",
        "commit": "9d59409acf47",
        "branch": "main",
        "repository": "https://example.org/x",
        "environment": "production",
        "namespace": "imaging",
        "deployment.id": 17,
    }

    assert detected(tmp_path, content) == {
        "service.version": "1.4.2",
        "vcs.ref.head.revision": "9d59409acf47",
        "vcs.ref.head.name": "main",
        "vcs.repository.url.full": "https://example.org/x",
        "deployment.environment.name": "production",
        "service.namespace": "imaging",
        "deployment.id": 17,
    }


def test_file_is_looked_for_beside_the_code(tmp_path, monkeypatch):
    monkeypatch.delenv("OTEL_LAMBDA_DEPLOYMENT_FILE", raising=False)
    monkeypatch.setenv("LAMBDA_TASK_ROOT", str(tmp_path))
    (tmp_path / "version.json").write_text('{"version": "2"}')

    assert dict(DeploymentDetector().detect().attributes) == {"service.version": "2"}


def test_file_may_be_named(tmp_path, monkeypatch):
    (tmp_path / "other.json").write_text('{"version": "3"}')
    monkeypatch.setenv("OTEL_LAMBDA_DEPLOYMENT_FILE", str(tmp_path / "other.json"))

    assert detect(("lambda_otel.detectors.deployment:DeploymentDetector",)) == {"service.version": "3"}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("[]", "expected a JSON object"),
        ("{", "Expecting property name"),
        ('{"version": null}', "a text, number or boolean as `version`"),
        ('{"version": ["1"]}', "a text, number or boolean as `version`"),
        ('{"vresion": "1"}', "or an attribute's name: `vresion`"),
    ],
)
def test_file_that_says_nothing_sensible_is_an_error(tmp_path, content, told):
    with pytest.raises(ValueError, match=told):
        detected(tmp_path, content)


def test_file_that_is_missing_is_one_line(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("OTEL_LAMBDA_DEPLOYMENT_FILE", str(tmp_path / "none.json"))

    assert detect(("lambda_otel.detectors.deployment:DeploymentDetector",)) == {}
    (record,) = caplog.records
    assert "FileNotFoundError" in record.getMessage()
