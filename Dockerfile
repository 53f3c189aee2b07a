# --- build: a virtual environment with what the lock names, and Dawdle itself ---
FROM python:3.12-slim AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore

RUN python -m venv /opt/dawdle
ENV PATH="/opt/dawdle/bin:$PATH"

WORKDIR /source
COPY requirements.lock ./
RUN pip install --require-hashes --requirement requirements.lock

# The lock holds the build backend, so this fetches nothing; then what only builds leaves again.
COPY . ./
RUN pip install --no-deps --no-build-isolation --no-index . \
    && pip uninstall --yes hatchling pathspec pluggy tomlkit trove-classifiers pip

# --- the service ---
FROM python:3.12-slim

# A venv's commands hold its path: it is copied to where it was made.
COPY --from=build /opt/dawdle /opt/dawdle

# A new volume takes its owner from the image's folder.
RUN install --directory --owner=10001 --group=10001 /data

ENV PATH="/opt/dawdle/bin:$PATH" \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    DAWDLE_HOST=0.0.0.0 \
    DAWDLE_DATA=/data

USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 3000 7777
STOPSIGNAL SIGTERM

# Where the service listens follows its settings in the environment.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
    CMD ["python", "-c", "\
import os, ssl, urllib.request as u; \
get = os.environ.get; \
own = get('DAWDLE_TLS_SELF_SIGNED', '').lower() in ('true', 'yes', 'on', '1'); \
scheme = 'https' if own or get('DAWDLE_TLS_CERT') else 'http'; \
https = u.HTTPSHandler(context=ssl._create_unverified_context()); \
url = scheme + '://127.0.0.1:' + get('DAWDLE_PORT', '3000') + '/healthz'; \
u.build_opener(u.ProxyHandler({}), https).open(url, timeout=2)"]

CMD ["dawdle", "serve"]
