# Hestia as an image: `docker build -t hestia .`; a configuration folder is mounted at /config, what is remembered stands in /data.
FROM node:22-bookworm-slim AS build
WORKDIR /hestia
COPY package.json package-lock.json ./
# `prepare` compiles sources, which aren't there yet and are built below.
RUN npm ci --ignore-scripts && npm rebuild
COPY . .
RUN npm run build && npm prune --omit=dev && rm -r node_modules/.cache

FROM node:22-bookworm-slim
# tini passes signals on and buries the dead; ssh is for services on other machines.
# hadolint ignore=DL3008
RUN apt-get update \
  && apt-get install -y --no-install-recommends openssh-client tini \
  && rm -rf /var/lib/apt/lists/* \
  && install -d -o node -g node /data
WORKDIR /hestia
COPY --from=build /hestia/package.json ./
COPY --from=build /hestia/node_modules ./node_modules
COPY --from=build /hestia/dist ./dist
COPY --from=build /hestia/cli/templates ./cli/templates
COPY --from=build /hestia/plugins/dashboard/web ./plugins/dashboard/web
COPY --from=build /hestia/examples ./examples
RUN ln -s /hestia/dist/hestia.mjs /usr/local/bin/hestia
# The configuration that is there while none is mounted.
COPY hestia_config.yml /config/
COPY examples/demo-service.mjs /config/examples/
# Within the container all of its addresses, and this port whatever the configuration says; which of the host's lead there says
# `-p 127.0.0.1:8080:8080`.
ENV NODE_ENV=production \
  HESTIA_CONFIG=/config/hestia_config.yml \
  HESTIA_SERVER_HOST=0.0.0.0 \
  HESTIA_SERVER_PORT=8080 \
  HESTIA_STORE_FILE=/data/hestia.sqlite
USER node
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.HESTIA_SERVER_PORT}/__health`).then((a) => process.exit(a.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["tini", "--", "node", "--enable-source-maps", "/hestia/dist/hestia.mjs"]
CMD ["serve"]
