"""Instrumentors of the OpenTelemetry project by name, from the function's own packages, without a search for them.

Searching all installed packages for entry points, and checking which libraries they are for, is most of what automatic
instrumentation costs a cold start. A name that is listed costs what its package costs to import.

What this layer does itself is not listed: the handler, `logging`, and the AWS SDK.
"""

import logging
from collections.abc import Iterable

from lambda_otel.plugins import load

_logger = logging.getLogger("lambda_otel")

_PACKAGE = "opentelemetry.instrumentation"

# name -> what follows the package's name: module and class. scripts/check_instrumentors.py holds them to the real ones.
INSTRUMENTORS = {
    "aio_pika": "aio_pika:AioPikaInstrumentor",
    "aiohttp_client": "aiohttp_client:AioHttpClientInstrumentor",
    "aiokafka": "aiokafka:AIOKafkaInstrumentor",
    "aiopg": "aiopg:AiopgInstrumentor",
    "asyncio": "asyncio:AsyncioInstrumentor",
    "asyncpg": "asyncpg:AsyncPGInstrumentor",
    "cassandra": "cassandra:CassandraInstrumentor",
    "celery": "celery:CeleryInstrumentor",
    "confluent_kafka": "confluent_kafka:ConfluentKafkaInstrumentor",
    "django": "django:DjangoInstrumentor",
    "falcon": "falcon:FalconInstrumentor",
    "fastapi": "fastapi:FastAPIInstrumentor",
    "flask": "flask:FlaskInstrumentor",
    "grpc_client": "grpc:GrpcInstrumentorClient",
    "httpx": "httpx:HTTPXClientInstrumentor",
    "jinja2": "jinja2:Jinja2Instrumentor",
    "kafka": "kafka:KafkaInstrumentor",
    "mysql": "mysql:MySQLInstrumentor",
    "mysqlclient": "mysqlclient:MySQLClientInstrumentor",
    "openai": "genai.openai:OpenAIInstrumentor",
    "pika": "pika:PikaInstrumentor",
    "psycopg": "psycopg:PsycopgInstrumentor",
    "psycopg2": "psycopg2:Psycopg2Instrumentor",
    "pymemcache": "pymemcache:PymemcacheInstrumentor",
    "pymongo": "pymongo:PymongoInstrumentor",
    "pymssql": "pymssql:PyMSSQLInstrumentor",
    "pymysql": "pymysql:PyMySQLInstrumentor",
    "pyramid": "pyramid:PyramidInstrumentor",
    "redis": "redis:RedisInstrumentor",
    "requests": "requests:RequestsInstrumentor",
    "sqlalchemy": "sqlalchemy:SQLAlchemyInstrumentor",
    "sqlite3": "sqlite3:SQLite3Instrumentor",
    "starlette": "starlette:StarletteInstrumentor",
    "threading": "threading:ThreadingInstrumentor",
    "tornado": "tornado:TornadoInstrumentor",
    "tortoiseorm": "tortoiseorm:TortoiseORMInstrumentor",
    "urllib": "urllib:URLLibInstrumentor",
    "urllib3": "urllib3:URLLib3Instrumentor",
}


def instrument_libraries(names: Iterable[str]) -> list[str]:
    """Have the libraries of these names instrumented; those that were.

    A name is one of `INSTRUMENTORS`, or `module:Class` of another. One that is not known, not installed or not willing
    is one line in the log.
    """
    return [name for name in dict.fromkeys(names) if _instrument(name)]


def _instrument(name: str) -> bool:
    listed = INSTRUMENTORS.get(name.replace("-", "_"))
    where = f"{_PACKAGE}.{listed}" if listed else name
    if ":" not in where:
        _logger.warning(
            "`OTEL_LAMBDA_INSTRUMENTORS` names `%s`, which is not one of: %s", name, ", ".join(INSTRUMENTORS)
        )
        return False
    try:
        # without the check, which reads the metadata of all installed packages
        load(where)().instrument(skip_dep_check=True)
    except ImportError as error:
        _logger.warning("`OTEL_LAMBDA_INSTRUMENTORS` names `%s`, whose package is not here: %s", name, error)
        return False
    except Exception as error:  # noqa: BLE001  the boundary: code of anybody
        _logger.warning("`%s` could not be instrumented: %s: %s", name, type(error).__name__, error)
        return False
    return True
