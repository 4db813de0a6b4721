# Sojourn's commands as an image.
#
#   docker build -t sojourn .
#   docker run --rm --read-only --tmpfs /tmp --cap-drop ALL sojourn doctor redis://HOST
#
# An agent of your own starts from the same two stages, with its package in place of this one.

FROM python:3.13.9-slim-bookworm AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN python -m venv /opt/sojourn
RUN /opt/sojourn/bin/pip install --no-cache-dir '.[cli,crypto,hiredis,mcp,metrics,zstd]'
RUN /opt/sojourn/bin/python -m pip uninstall --yes pip

# No pip, no compiler, no sources: what is here runs, and installs nothing.
FROM python:3.13.9-slim-bookworm
RUN python -m pip uninstall --yes pip && rm -rf /usr/local/lib/python3.13/ensurepip
COPY --from=build /opt/sojourn /opt/sojourn
ENV PATH=/opt/sojourn/bin:$PATH HOME=/tmp PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001:10001
ENTRYPOINT ["sojourn"]
CMD ["--help"]
