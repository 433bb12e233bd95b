#!/bin/sh
# A throw-away server that trusts everybody on the test's private network; its data stays over a stop and start.
set -e
if [ ! -e /var/lib/postgresql/data/PG_VERSION ]; then
  /opt/postgresql/bin/initdb -D /var/lib/postgresql/data -A trust -U postgres -E UTF8 --no-sync >/dev/null
  echo 'host all all all trust' >> /var/lib/postgresql/data/pg_hba.conf
  if [ -n "$POSTGRES_DB" ]; then
    echo "CREATE DATABASE $POSTGRES_DB" | /opt/postgresql/bin/postgres --single -D /var/lib/postgresql/data postgres >/dev/null
  fi
fi
exec /opt/postgresql/bin/postgres -D /var/lib/postgresql/data -c listen_addresses='*' -c max_connections=200 \
  -c tcp_keepalives_idle=2 -c tcp_keepalives_interval=1 -c tcp_keepalives_count=3 -c tcp_user_timeout=5000 "$@"
