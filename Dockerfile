# One image a service: docker build --target edge -t tokentally-edge .   (or billing, deposits, console-api, sandbox)
# All share the layer with the locked requirements. Nothing is compiled: wheels only, and no compiler in any stage.
ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS requirements
COPY requirements/services.txt /build/services.txt
# A pip.conf of the builder's own (a mirror, a certificate) is handed in with --secret id=pip_conf,src=FILE and stays out of the image.
RUN --mount=type=secret,id=pip_conf,target=/etc/pip.conf \
    python3 -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes --only-binary=:all: -r /build/services.txt \
    && /opt/venv/bin/pip uninstall --yes --quiet pip

FROM requirements AS code
COPY config /app/config
COPY libs /app/libs
COPY services /app/services
# The file system of a container is read-only: without this every start would compile everything anew.
RUN /opt/venv/bin/python -m compileall -q /app

FROM ${PYTHON_IMAGE} AS base
# Volumes that are mounted empty on these folders take over their owner.
RUN groupadd --gid 10001 tokentally \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin tokentally \
    && install -d -o 10001 -g 10001 -m 0700 /var/lib/tokentally /var/lib/tokentally/edge /var/lib/tokentally/uploads /var/lib/tokentally/teams /var/lib/tokentally/nats \
    /var/lib/tokentally/chain
COPY --from=requirements /opt/venv /opt/venv
COPY --from=code /app/libs/common/src /app/libs/common/src
ENV PATH=/opt/venv/bin:$PATH PYTHONPATH=/app/libs/common/src PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 TT_LOG_FORMAT=json
WORKDIR /app
USER 10001:10001

FROM base AS sandbox
COPY --from=code /app/libs/sandbox/src/tt_sandbox/__init__.py /app/libs/sandbox/src/tt_sandbox/
COPY --from=code /app/libs/sandbox/src/tt_sandbox/provider /app/libs/sandbox/src/tt_sandbox/provider
COPY --from=code /app/libs/sandbox/src/tt_sandbox/chain /app/libs/sandbox/src/tt_sandbox/chain
ENV PYTHONPATH=/app/libs/common/src:/app/libs/sandbox/src SANDBOX_HOST=0.0.0.0
EXPOSE 8090
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["python", "-m", "tt_common.web.probe", "8090"]
CMD ["python", "-m", "tt_sandbox.provider"]

FROM base AS billing
COPY --from=code /app/services/billing /app/services/billing
ENV PYTHONPATH=/app/libs/common/src:/app/services/billing/src BILLING_HOST=0.0.0.0
EXPOSE 8082
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["python", "-m", "tt_common.web.probe", "8082"]
CMD ["python", "-m", "tt_billing", "serve"]

FROM base AS deposits
COPY --from=code /app/services/deposits /app/services/deposits
ENV PYTHONPATH=/app/libs/common/src:/app/services/deposits/src DEPOSITS_HOST=0.0.0.0
EXPOSE 8083
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["python", "-m", "tt_common.web.probe", "8083"]
CMD ["python", "-m", "tt_deposits", "serve"]

FROM base AS console-api
COPY --from=code /app/config /app/config
COPY --from=code /app/services/console-api /app/services/console-api
ENV PYTHONPATH=/app/libs/common/src:/app/services/console-api/src CONSOLE_HOST=0.0.0.0
EXPOSE 8081
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["python", "-m", "tt_common.web.probe", "8081"]
CMD ["python", "-m", "tt_console", "serve"]

FROM base AS edge
COPY --from=code /app/services/edge /app/services/edge
ENV PYTHONPATH=/app/libs/common/src:/app/services/edge/src EDGE_HOST=0.0.0.0 EDGE_JOURNAL_DIR=/var/lib/tokentally/edge \
    EDGE_SPOOL_DIR=/var/lib/tokentally/uploads
VOLUME /var/lib/tokentally/edge /var/lib/tokentally/uploads
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["python", "-m", "tt_common.web.probe", "8080"]
CMD ["python", "-m", "tt_edge"]
