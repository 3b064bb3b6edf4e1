"""A SAM template file to a `Deployment`: read, transformed by AWS's own SAM translator, resolved.

The translator wants code that has been uploaded, so each local path travels through it as the key of an `s3://` URI and
is taken out again on the other side. Everything else goes through it untouched.
"""

import copy
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import yaml

from lambda_local._deployment import build_deployment
from lambda_local._stack import Stack
from lambda_local.errors import TemplateError
from lambda_local.resources import Deployment

_CODE_BUCKET = "lambda-local-code"
_CODE_PROPERTY = {"AWS::Serverless::Function": "CodeUri", "AWS::Serverless::LayerVersion": "ContentUri"}
_SAM_TRANSFORM = "AWS::Serverless-2016-10-31"


def load_deployment(
    path: Path,
    *,
    parameters: Mapping[str, str] | None = None,
    layer_dirs: Mapping[str, Path] | None = None,
    stack_name: str = "local",
    region: str = "us-east-1",
    account_id: str = "123456789012",
) -> Deployment:
    """Read a template and resolve what it deploys.

    Parameters
    ----------
    path : Path
        `template.yaml`, or the one `sam build` writes. Paths in it are relative to its folder.
    parameters : mapping of str to str, optional
        Values that replace the defaults, as in `--parameter-overrides`.
    layer_dirs : mapping of str to Path, optional
        Logical id of a layer to the folder that holds it built, for layers whose `ContentUri` is their source.
    stack_name, region, account_id : str
        What the pseudo parameters give.

    Raises
    ------
    TemplateError
        The file is no template, a parameter is wrong, or a resource asks for what cannot be resolved.
    """
    template, values = _expand(path, parameters or {}, layer_dirs or {}, region)
    stack = Stack(template=template, parameters=values, stack_name=stack_name, region=region, account_id=account_id)
    return build_deployment(stack, lambda code: _code_dir(code, path.parent))


def expand_template(
    path: Path, *, parameters: Mapping[str, str] | None = None, region: str = "us-east-1"
) -> dict[str, Any]:
    """The template as CloudFormation gets it: SAM's resources made into plain ones, references still to be resolved.

    Parameters
    ----------
    path, parameters, region
        As in `load_deployment`.

    Raises
    ------
    TemplateError
        The file is no template, or a parameter is wrong.
    """
    return _expand(path, parameters or {}, {}, region)[0]


def _expand(
    path: Path, parameters: Mapping[str, str], layer_dirs: Mapping[str, Path], region: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    source = path.read_text(encoding="utf-8")
    try:
        template = yaml.load(source, _TemplateLoader)  # noqa: S506 - derives from SafeLoader
    except yaml.YAMLError as exc:
        raise TemplateError(f"`{path}` is not YAML: {exc}") from exc
    if not isinstance(template, dict) or not isinstance(template.get("Resources"), dict):
        raise TemplateError(f"`{path}` has no `Resources`")
    for logical_id, resource in template["Resources"].items():
        if not isinstance(resource, dict) or not isinstance(resource.get("Type"), str):
            raise TemplateError(f"resource `{logical_id}` in `{path}` has no `Type`")

    values = _parameter_values(template.get("Parameters") or {}, parameters)
    _hide_code_paths(template, layer_dirs)
    return (_transform(template, values, region) if _is_sam(template) else template), values


def _is_sam(template: Mapping[str, Any]) -> bool:
    transforms = template.get("Transform", [])
    return _SAM_TRANSFORM in (transforms if isinstance(transforms, list) else [transforms])


def _parameter_values(declared: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, Any]:
    unknown = sorted(set(given) - set(declared))
    if unknown:
        raise TemplateError(f"the template has no parameter {', '.join(f'`{name}`' for name in unknown)}")
    values = {}
    for name, declaration in declared.items():
        value = given.get(name, declaration.get("Default"))
        if value is None:
            raise TemplateError(f"parameter `{name}` has no default and was given no value")
        _check_parameter(name, str(value), declaration)
        is_list = declaration.get("Type", "String").startswith(("List<", "CommaDelimitedList"))
        values[name] = [item.strip() for item in str(value).split(",")] if is_list else str(value)
    return values


def _check_parameter(name: str, value: str, declaration: Mapping[str, Any]) -> None:
    allowed = [str(item) for item in declaration.get("AllowedValues", ())]
    if allowed and value not in allowed:
        raise TemplateError(f"parameter `{name}` is `{value}`; expected one of {', '.join(allowed)}")
    pattern = declaration.get("AllowedPattern")
    if pattern and not re.fullmatch(pattern, value):
        raise TemplateError(f"parameter `{name}` is `{value}`; expected to match `{pattern}`")
    if declaration.get("Type") == "Number" and not re.fullmatch(r"-?\d+(\.\d+)?", value):
        raise TemplateError(f"parameter `{name}` is `{value}`; expected a number")


def _hide_code_paths(template: dict[str, Any], layer_dirs: Mapping[str, Path]) -> None:
    resources = template["Resources"]
    unknown = sorted(set(layer_dirs) - set(resources))
    if unknown:
        raise TemplateError(f"the template has no layer {', '.join(f'`{name}`' for name in unknown)}")
    shared = (template.get("Globals") or {}).get("Function") or {}
    if "CodeUri" in shared:
        shared["CodeUri"] = _hidden(shared["CodeUri"], "Globals")
    for logical_id, resource in resources.items():
        code_property = _CODE_PROPERTY.get(resource.get("Type"))
        properties = resource.setdefault("Properties", {})
        if logical_id in layer_dirs:
            if code_property != "ContentUri":
                raise TemplateError(f"`{logical_id}` is given a layer folder, but is a `{resource.get('Type')}`")
            properties["ContentUri"] = str(layer_dirs[logical_id].absolute())
        if code_property in properties:
            properties[code_property] = _hidden(properties[code_property], logical_id)


def _hidden(uri: Any, owner: str) -> str:
    if not isinstance(uri, str) or uri.startswith("s3://"):
        raise TemplateError(f"the code of `{owner}` is `{uri}`; expected the path of a folder")
    return f"s3://{_CODE_BUCKET}/{quote(uri, safe='')}"


def _code_dir(code: Mapping[str, Any], base: Path) -> Path:
    if code.get("S3Bucket") != _CODE_BUCKET:
        raise TemplateError(f"code is `{dict(code)}`; expected a folder named by `CodeUri` or `ContentUri`")
    folder = (base / unquote(code["S3Key"])).resolve()
    if not folder.is_dir():
        raise TemplateError(f"code is expected in `{folder}`, which is not a folder")
    return folder


def _transform(template: Mapping[str, Any], parameters: Mapping[str, Any], region: str) -> dict[str, Any]:
    # The translator is heavy and wants boto3: neither is needed by whoever has a Deployment already.
    from boto3.session import Session
    from samtranslator.model.exceptions import InvalidDocumentException
    from samtranslator.parser.parser import Parser
    from samtranslator.translator.translator import Translator

    translator = Translator({}, Parser(), boto_session=Session(region_name=region))
    try:
        transformed: dict[str, Any] = translator.translate(copy.deepcopy(template), dict(parameters))
    except InvalidDocumentException as exc:
        causes = "; ".join(cause.message for cause in exc.causes) or exc.message
        raise TemplateError(f"SAM refuses the template: {causes}") from exc
    finally:
        translator.metrics.publish()  # nowhere; it warns if nobody asks it to
    return transformed


class _TemplateLoader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms; dates stay text, as CloudFormation has no dates."""


def _short_form(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)  # type: ignore[arg-type]
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_TemplateLoader.add_multi_constructor("!", _short_form)
_TemplateLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
