# An image with thinkaloud and its pinned requirements, for a CPU, or with JAX for NVIDIA GPUs.
#
#     docker build -t thinkaloud .                                        # CPU
#     docker build -t thinkaloud:cuda --build-arg ACCELERATOR=cuda13 .    # an extra of jax: cuda12, cuda13
#     docker run --rm --user "$(id -u)" -v "$PWD:/work" thinkaloud train starter
#     docker run --rm --user "$(id -u)" --gpus all -v "$PWD:/work" thinkaloud:cuda train night-1b
#
# Runs and pools go to /work. Models are cached in /cache: add -v thinkaloud-cache:/cache to keep them.
# `docker run --rm thinkaloud sandbox check` shows whether model-written code can be contained.
FROM python:3.12-slim

ARG ACCELERATOR=""
ARG VERSION=""

WORKDIR /src
COPY requirements.txt ./
RUN pip install --no-cache-dir --requirement requirements.txt \
    && if [ -n "$ACCELERATOR" ]; then \
        pip install --no-cache-dir "jax[$ACCELERATOR]==$(python -c 'import jax; print(jax.__version__)')"; \
    fi

# There is no git history in the image: VERSION, or else the fallback of pyproject.toml, is the version.
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN SETUPTOOLS_SCM_PRETEND_VERSION_FOR_THINKALOUD="$VERSION" \
    pip install --no-cache-dir --no-deps --no-build-isolation . \
    && useradd --create-home --uid 1000 thinkaloud \
    && mkdir -p /work /cache && chmod 1777 /work /cache

ENV THINKALOUD_CACHE=/cache/models HF_HOME=/cache/huggingface
USER thinkaloud
WORKDIR /work
ENTRYPOINT ["thinkaloud"]
CMD ["--help"]
