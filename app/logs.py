"""Logs: to standard error, as text for people or as JSON for machines."""

import logging
import time

from aiohttp.http_exceptions import HttpProcessingError
from pythonjsonlogger.json import JsonFormatter

from app.settings import Settings

TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
JSON = "%(asctime)s %(levelname)s %(name)s %(message)s"


def configure(settings: Settings) -> None:
    """Send everything from the least level up to standard error, in the format that is set."""
    formatter = JsonFormatter(JSON) if settings.log_format == "json" else logging.Formatter(TEXT)
    # ISO 8601 in UTC, whoever reads it where.
    formatter.converter = time.gmtime
    formatter.default_time_format = "%Y-%m-%dT%H:%M:%S"
    formatter.default_msec_format = "%s.%03dZ"
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
    logging.getLogger("aiohttp.server").addFilter(is_our_concern)


def is_our_concern(record: logging.LogRecord) -> bool:
    """Not what the HTTP parser refuses, unless we debug: anybody could fill the log with that."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError) or logging.root.isEnabledFor(logging.DEBUG)
