# The application's image. Both builders of docker take it: nothing here needs BuildKit.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS dependencies
LABEL prodbreaker.stage=dependencies
ARG UV_VERSION=0.13.9
# `.build/` holds the building host's CA bundle where make up puts it; only this stage sees it.
COPY pyproject.toml uv.lock .build* /build/
WORKDIR /build
RUN if [ -f ca.crt ]; then export SSL_CERT_FILE=/build/ca.crt PIP_CERT=/build/ca.crt; fi \
 && python -m venv /opt/uv \
 && /opt/uv/bin/pip install --quiet --disable-pip-version-check "uv==${UV_VERSION}" \
 && UV_PROJECT_ENVIRONMENT=/opt/venv UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy \
    /opt/uv/bin/uv sync --quiet --locked --only-group app --compile-bytecode --no-cache --python "$(command -v python)"

FROM ${BASE}
COPY --from=dependencies /opt/venv /opt/venv
COPY app /srv/app
RUN /opt/venv/bin/python -m compileall -q /srv/app
ARG VERSION=unknown
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 APP_VERSION=${VERSION}
WORKDIR /srv
USER 65534:65534
EXPOSE 8000 9102
# A replica counts from its first healthy answer: asked often, a heal is fast. Found dead late: a busy host is no reason to kill
# replicas, which would leave the rest with more work.
HEALTHCHECK --interval=2s --timeout=6s --start-period=60s --retries=5 CMD ["python", "-IS", "/srv/app/probe.py"]
ENTRYPOINT ["python", "-m", "app"]
CMD ["serve"]
