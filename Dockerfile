# syntax=docker/dockerfile:1
# One executable on a base without a shell: docker build -t pointsman .
FROM node:22-bookworm-slim AS build
WORKDIR /src
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY . .
# The runtime is in the package of its platform, because no install script has moved it.
RUN node_modules/@oven/bun-linux-*/bin/bun scripts/executable.ts --out /out && mv /out/pointsman-* /out/pointsman

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /out/pointsman /usr/local/bin/pointsman
COPY --from=build /src/LICENSE /usr/share/doc/pointsman/LICENSE
# Else Bun starts the program once more to set them.
ENV BUN_ENABLE_CRASH_REPORTING=0 BUN_CONFIG_MAX_HTTP_REQUESTS=65535
# In a container, loopback is nobody else's. The administration needs an admin_api_key from outside.
ENV POINTSMAN_HOST=0.0.0.0
USER nonroot
EXPOSE 30000 29000
ENTRYPOINT ["/usr/local/bin/pointsman"]
