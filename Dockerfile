# The tap alone, with its base dependencies. Build it from a clean checkout:
#     docker build --tag tap-betterdata .
FROM python:3.13-slim AS build
WORKDIR /src
COPY requirements/build.txt requirements/base.txt requirements/
RUN python -m venv /tap \
    && /tap/bin/pip install --no-cache-dir --require-hashes -r requirements/base.txt \
    && python -m venv /build \
    && /build/bin/pip install --no-cache-dir --no-build-isolation --require-hashes \
        -r requirements/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY tap_betterdata tap_betterdata
RUN /build/bin/hatchling build --target wheel --directory /dist \
    && /tap/bin/pip install --no-cache-dir --no-deps /dist/*.whl \
    && /tap/bin/pip uninstall --yes pip

FROM python:3.13-slim
COPY --from=build /tap /tap
RUN useradd --system --uid 10001 --no-create-home tap
USER 10001
WORKDIR /tmp
ENV PATH="/tap/bin:$PATH" PYTHONUNBUFFERED=1
ENTRYPOINT ["tap-betterdata"]
CMD ["--help"]
