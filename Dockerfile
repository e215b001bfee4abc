# The pipeline as an image: the commands of `journey`, without the embedded stack and without anything that only development needs.
# The Python that the tests run on.
FROM python:3.11-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/journey
WORKDIR /app
# The libraries in a layer of their own: they change less often than the code.
COPY requirements-runtime.lock ./
RUN /opt/journey/bin/pip install --requirement requirements-runtime.lock
# It is an application in its own folder, found there by the environment: presets and tables lie beside the code.
COPY pyproject.toml README.md ./
COPY agents ./agents
COPY alerts ./alerts
COPY backtest ./backtest
COPY console ./console
COPY funnel ./funnel
COPY funnels ./funnels
COPY channels ./channels
COPY journey ./journey
COPY reports ./reports
COPY schemas ./schemas
COPY sinks ./sinks
RUN /opt/journey/bin/pip install --no-deps --editable . \
 && /opt/journey/bin/pip check \
 && /opt/journey/bin/python -m compileall -q /opt/journey/lib /app

FROM python:3.11-slim
LABEL org.opencontainers.image.title="buyer-journey" \
      org.opencontainers.image.licenses="MIT"
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin journey
COPY --from=build /opt/journey /opt/journey
COPY --from=build /app /app
ENV PATH=/opt/journey/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp
# The only place that is written to; docker-compose.yml mounts everything else read-only.
WORKDIR /tmp
USER 10001
ENTRYPOINT ["journey"]
CMD ["--help"]
