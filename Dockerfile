# qwen3 in a container: the program and the libraries that it needs, for processors or, with CUDA=ON, for NVIDIA
# cards too (the driver comes from the host). docs/deployment.md has the commands.
#
#   docker build -t qwen3 .
#   docker build -t qwen3:cuda --build-arg CUDA=ON .
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS build
ARG CUDA=OFF
# Where the sources lie while they are built. ccache, where a build shares it, wants them where they lay before.
ARG SOURCE=/src
ARG CMAKE_FLAGS=
WORKDIR ${SOURCE}
COPY script/bootstrap script/
RUN script/bootstrap && if [ "$CUDA" = ON ]; then script/bootstrap --cuda; fi
COPY . .
RUN QWEN3_CMAKE_FLAGS="-DQWEN3_TESTS=OFF -DQWEN3_BENCH=OFF -DQWEN3_CUDA=${CUDA} ${CMAKE_FLAGS}" script/build release qwen3 \
    && install -D -s build/release/bin/qwen3 /out/qwen3

FROM ${BASE}
ARG REVISION=
# Names of Debian 12. `qwen3 --version` fails here if one is missing.
RUN apt-get update -qq \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends ca-certificates libcurl4 libedit2 \
      libfmt9 libprometheus-cpp-core1.0 libssl3 libutf8proc2 libyaml-cpp0.7 zlib1g \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/* \
    && useradd --uid 10001 --user-group --create-home --shell /usr/sbin/nologin qwen3 \
    && install -d -o qwen3 -g qwen3 /cache
COPY --from=build /out/qwen3 /usr/local/bin/qwen3
COPY docker/healthcheck /usr/local/bin/qwen3-healthcheck
COPY LICENSE /usr/share/doc/qwen3/LICENSE
RUN qwen3 --version
# Models that `qwen3 pull` has downloaded: a volume, or the host's ~/.cache/huggingface.
ENV HF_HOME=/cache
USER 10001:10001
WORKDIR /home/qwen3
EXPOSE 8000
STOPSIGNAL SIGTERM
# Of a server. Not healthy while the model loads, and while it drains: that is what /health says.
HEALTHCHECK --interval=5s --timeout=3s --start-period=30m --retries=3 CMD ["qwen3-healthcheck"]
LABEL org.opencontainers.image.title="qwen3.cpp" \
      org.opencontainers.image.description="Qwen3, dense and mixture of experts: chat, OpenAI-compatible server, evaluation" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"
ENTRYPOINT ["qwen3"]
CMD ["chat"]
