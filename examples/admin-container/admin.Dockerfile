# docker build -f admin.Dockerfile: beside `sqlx`, of cargo install sqlx-cli --no-default-features --features postgres,rustls
ARG BASE=debian:bookworm-slim
FROM ${BASE}
COPY sqlx admin /usr/local/bin/
COPY migrations /migrations
ENTRYPOINT ["admin"]
