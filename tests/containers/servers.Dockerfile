# What the test needs besides Lockkeeper's own image, from the base's packages: PostgreSQL and Prometheus.
ARG BASE=docker.io/library/debian:12-slim
FROM ${BASE}
RUN mkdir -p /etc/postgresql-common && echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.conf && \
    apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends postgresql prometheus && \
    rm -rf /var/lib/apt/lists/* && ln -s /usr/lib/postgresql/* /opt/postgresql
COPY postgres.sh /usr/local/bin/postgres.sh
EXPOSE 5432 9090
