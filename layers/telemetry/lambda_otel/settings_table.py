"""The table of the layer's settings: every environment variable, by name.

What a variable of the OpenTelemetry specification means is the specification's; where the layer's default differs, the
help says so.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from lambda_otel._parse import (
    aws_services,
    backend_url,
    collector_url,
    dotted_names,
    exporters,
    flag,
    names,
    one_of,
    pairs,
    positive,
    preloadable,
    probability,
    whole,
)

MIB = 2**20

SAMPLERS = (
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
    "consistent_threshold",
    "parentbased_consistent_threshold",
)


class Setting(NamedTuple):
    """One environment variable.

    Attributes
    ----------
    name : str
    parse : callable
        Text to value; raises ValueError with what was expected.
    default : str
        Empty: not set.
    unit : str
    help : str
    """

    name: str
    parse: Callable[[str], Any]
    default: str
    unit: str
    help: str


SETTINGS = (
    Setting(
        "OTEL_SERVICE_NAME", str, "", "", "`service.name`; the function's name if neither this nor the next says it"
    ),
    Setting("OTEL_RESOURCE_ATTRIBUTES", pairs, "", "", "Further resource attributes, `key=value,...`"),
    Setting(
        "OTEL_PROPAGATORS", names, "tracecontext,baggage", "", "Of `tracecontext`, `baggage`, `xray`, `xray-lambda`"
    ),
    Setting(
        "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", names, "", "", "`botocore`: AWS requests have no spans and no context"
    ),
    Setting("OTEL_TRACES_SAMPLER", one_of(*SAMPLERS), "parentbased_always_on", "", "See *Samplers*"),
    Setting("OTEL_TRACES_SAMPLER_ARG", probability, "1", "", "Probability, for the samplers that have one"),
    Setting("OTEL_TRACES_EXPORTER", exporters, "otlp", "", "See *Exporters*; several, or `none`"),
    Setting("OTEL_METRICS_EXPORTER", exporters, "otlp", "", "The same for metrics"),
    Setting("OTEL_LOGS_EXPORTER", exporters, "otlp", "", "The same for logs"),
    Setting("OTEL_EXPORTER_OTLP_PROTOCOL", one_of("http/protobuf"), "http/protobuf", "", "`http/protobuf`"),
    Setting("OTEL_EXPORTER_OTLP_ENDPOINT", collector_url, "http://127.0.0.1:4318", "", "Where the Collector listens"),
    Setting("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", collector_url, "", "", "The whole URL for traces, if another"),
    Setting("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", collector_url, "", "", "The whole URL for metrics, if another"),
    Setting("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", collector_url, "", "", "The whole URL for logs, if another"),
    Setting("OTEL_EXPORTER_OTLP_HEADERS", pairs, "", "", "Headers of every request, `key=value,...`"),
    Setting("OTEL_EXPORTER_OTLP_TRACES_HEADERS", pairs, "", "", "Headers for traces, in place of the general ones"),
    Setting("OTEL_EXPORTER_OTLP_METRICS_HEADERS", pairs, "", "", "Headers for metrics, in place of the general ones"),
    Setting("OTEL_EXPORTER_OTLP_LOGS_HEADERS", pairs, "", "", "Headers for logs, in place of the general ones"),
    Setting("OTEL_EXPORTER_OTLP_TIMEOUT", positive, "10000", "ms", "A Collector silent for this long is given up"),
    Setting(
        "OTEL_EXPORTER_OTLP_COMPRESSION",
        one_of("gzip", "none"),
        "gzip",
        "",
        "`gzip` (here the default) or `none`, of `otlp_http_direct`; never to the Collector",
    ),
    Setting(
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
        one_of("delta", "cumulative", "lowmemory"),
        "delta",
        "",
        "`delta` (here the default), `cumulative` or `lowmemory`",
    ),
    Setting(
        "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
        one_of("explicit_bucket_histogram", "base2_exponential_bucket_histogram"),
        "explicit_bucket_histogram",
        "",
        "`explicit_bucket_histogram` or `base2_exponential_bucket_histogram`",
    ),
    Setting("OTEL_METRIC_EXPORT_INTERVAL", positive, "60000", "ms", "How often metrics leave a long invocation"),
    Setting("OTEL_BSP_SCHEDULE_DELAY", positive, "5000", "ms", "How often spans and logs leave a long invocation"),
    Setting("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", positive, "512", "spans", "So many leave a long invocation at once"),
    Setting("OTEL_BSP_MAX_QUEUE_SIZE", positive, "2048", "spans", "More are dropped while no Collector takes them"),
    Setting("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", positive, "512", "records", "So many leave a long invocation at once"),
    Setting("OTEL_BLRP_MAX_QUEUE_SIZE", positive, "2048", "records", "More are dropped while no Collector takes them"),
    Setting(
        "OTEL_LAMBDA_ACK_TIMEOUT", whole, "5", "ms", "How long an export waits for the Collector's acknowledgement"
    ),
    Setting(
        "OTEL_LAMBDA_MAX_PENDING_BYTES", positive, str(4 * MIB), "bytes", "Encoded and not yet acknowledged, at most"
    ),
    Setting(
        "OTEL_LAMBDA_NOTE_OPEN_SPANS",
        flag,
        "false",
        "",
        "Note open spans in a file, for an extension that looks for it",
    ),
    Setting("OTEL_LAMBDA_SPOOL_DIR", str, "", "", "Folder of that extension, else `otel-spool` in the temporary one"),
    Setting(
        "OTEL_LAMBDA_COLLECTOR_HOST", str, "", "", "Address of the Collector extension: see *Where telemetry goes*"
    ),
    Setting(
        "OTEL_LAMBDA_EVENT_CONTEXT", dotted_names, "", "", "`module:function,...` that find an event's parent context"
    ),
    Setting(
        "OTEL_LAMBDA_INSTRUMENTATION",
        one_of("own", "contrib"),
        "own",
        "",
        "`own`, or `contrib`: the official instrumentations, see layers/telemetry-contrib",
    ),
    Setting(
        "OTEL_LAMBDA_AWS_INJECT",
        aws_services,
        "s3,sqs,sns,lambda,events",
        "",
        "Services that get the context, or `none`",
    ),
    Setting("OTEL_LAMBDA_S3_KEY", str, "", "", "`module:function` that says what may be shown of an object's key"),
    Setting("OTEL_LAMBDA_BAGGAGE_ATTRIBUTES", names, "", "", "Baggage keys that go to spans and log records, `a.b,c`"),
    Setting(
        "OTEL_LAMBDA_PRELOAD", preloadable, "", "", "Of `metrics`, `logs`: loaded during INIT and not when first used"
    ),
    Setting("OTEL_LAMBDA_MEASURE_COST", flag, "false", "", "Measure the layer's own CPU time, `lambda_otel.cpu_time`"),
    Setting("OTEL_LAMBDA_SPAN_PROCESSORS", dotted_names, "", "", "`module:Name,...`: see *Span processors*"),
    Setting("OTEL_LAMBDA_RESOURCE_DETECTORS", dotted_names, "", "", "`module:Name,...`: see *Resource detectors*"),
    Setting("OTEL_LAMBDA_INSTRUMENTORS", names, "", "", "`requests,psycopg,...`: see *Instrumentors*"),
    Setting("OTEL_LAMBDA_EXPORTER_TIMEOUT", positive, "2000", "ms", "What all other exporters may take together"),
    Setting("OTEL_LAMBDA_ATTRIBUTE_FILTERS", str, "", "", "`drop:a,hash:b.*,truncate:c:256`: see *Attribute filters*"),
    Setting("OTEL_LAMBDA_HASH_SALT", str, "", "", "Secret that `hash` filters mix in"),
    Setting("OTEL_LAMBDA_FILE_EXPORTER_PATH", str, "/tmp/otlp", "", "Folder of the `file` exporter"),  # noqa: S108
    Setting(
        "OTEL_LAMBDA_FILE_EXPORTER_MAX_BYTES", positive, str(16 * MIB), "bytes", "Of one file; the one before is kept"
    ),
    Setting("OTEL_LAMBDA_GEO_DATABASE", str, "", "", "MaxMind-format file of `processors.geo`"),
    Setting(
        "OTEL_LAMBDA_DEPLOYMENT_FILE", str, "", "", "JSON of `detectors.deployment`, else `version.json` by the code"
    ),
    Setting("OTEL_LAMBDA_HTTP_API_ENDPOINT", backend_url, "", "", "Where `exporters.http_api` posts"),
    Setting("OTEL_LAMBDA_HTTP_API_HEADERS", pairs, "", "", "Its headers, `authorization=Bearer%20...`"),
    Setting("OTEL_LAMBDA_HTTP_API_TIMEOUT", positive, "1500", "ms", "What one export may take with all its retries"),
    Setting("OTEL_LAMBDA_HTTP_API_BATCH_SIZE", positive, "100", "spans", "In one request"),
    Setting(
        "OTEL_LAMBDA_HTTP_API_DEAD_LETTER",
        str,
        "/tmp/lambda-otel-dead-letter.jsonl",  # noqa: S108  what Lambda lets a function write to
        "",
        "File of what could not be posted",
    ),
    Setting("OTEL_LAMBDA_HTTP_API_DEAD_LETTER_MAX_BYTES", positive, str(8 * MIB), "bytes", "Its size; the oldest go"),
)
