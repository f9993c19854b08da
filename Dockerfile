# Registry Cache as a container image: Node.js, the bundle, and nothing else; no shell, no package manager.
#
#   docker build --tag registry-cache .        (BuildKit: Docker 23 or later, before it with DOCKER_BUILDKIT=1; or buildah)
#
# Base images of the same kind can be taken from elsewhere, by --build-arg. Behind a proxy of npm's registry, --secret id=npmrc,src=$HOME/.npmrc
# gives the build npm's settings, and --secret id=ca,src=FILE further authorities; neither becomes part of the image.
ARG BUILD_IMAGE=docker.io/library/node:24-bookworm-slim
ARG RUNTIME_IMAGE=gcr.io/distroless/cc-debian12:latest

# The bundle is the same for all platforms, so it is built on the machine's own.
FROM --platform=$BUILDPLATFORM ${BUILD_IMAGE} AS build
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
RUN --mount=type=secret,id=npmrc,target=/root/.npmrc --mount=type=secret,id=ca,target=/run/ca.pem \
    if [ -f /run/ca.pem ]; then export NODE_EXTRA_CA_CERTS=/run/ca.pem; fi; \
    npm ci --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error
COPY scripts/build.ts scripts/undici-parts.cjs ./scripts/
COPY src ./src
RUN node scripts/build.ts
COPY LICENSE ./
COPY deploy/container/registry-cache /out/usr/local/bin/
# Whoever it runs as may write there: the folder's first content is what a new volume begins with.
RUN mkdir -p /out/opt/registry-cache /out/etc/registry-cache /out/data && chmod 0777 /out/data \
    && cp -r dist package.json LICENSE /out/opt/registry-cache/

FROM ${BUILD_IMAGE} AS node

FROM ${RUNTIME_IMAGE}
COPY --from=node /usr/local/bin/node /usr/local/bin/node
COPY --from=build /out/ /

# MALLOC_ARENA_MAX: see bin/registry-cache. The listener is for whoever the container's ports are published to.
ENV REGISTRY_CACHE_DATA_DIR=/data \
    REGISTRY_CACHE_LISTEN=0.0.0.0:5000 \
    MALLOC_ARENA_MAX=2
WORKDIR /etc/registry-cache
VOLUME /data
EXPOSE 5000
USER 10001:10001
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["registry-cache", "health"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["registry-cache"]
CMD ["serve"]

ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Registry Cache" \
      org.opencontainers.image.description="A pull-through cache for container images: one process for every registry" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
