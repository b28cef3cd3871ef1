#!/bin/sh
# Makes the cluster at the first start, then becomes the server: POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB and POSTGRES_INITDB_ARGS
# (each also as NAME_FILE), POSTGRES_HOST_AUTH_METHOD, PGDATA, and *.sql and *.sh in /docker-entrypoint-initdb.d mean what they mean
# to the official image.
set -eu

# setting NAME DEFAULT: what the variable NAME says, or the file that NAME_FILE names.
setting() {
    eval "value=\${$1:-} file=\${$1_FILE:-}"
    if [ -n "$value" ] && [ -n "$file" ]; then
        echo "error: both $1 and $1_FILE are set" >&2
        exit 1
    fi
    if [ -n "$file" ]; then value=$(cat "$file"); fi
    printf '%s' "${value:-$2}"
}

make_cluster() {
    if [ -z "$password" ] && [ "$method" != trust ]; then
        echo "error: the cluster is not made without POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE" >&2
        exit 1
    fi
    secret=$(mktemp)
    printf '%s\n' "$password" > "$secret"
    # The options are words, as the official image takes them.
    eval "initdb --username=\"\$user\" ${password:+--pwfile=\"\$secret\"} $(setting POSTGRES_INITDB_ARGS '')"
    rm "$secret"
    printf '\nhost all all all %s\n' "$method" >> "$PGDATA/pg_hba.conf"
    # Nobody gets in over the network before everything is there.
    pg_ctl --wait --silent --options "-c listen_addresses= -c unix_socket_directories=/tmp" start
    ask() { psql --no-psqlrc --set ON_ERROR_STOP=1 --host /tmp --username "$user" "$@"; }
    if [ "$database" != postgres ]; then
        echo 'CREATE DATABASE :"name"' | ask --dbname postgres --set name="$database"
    fi
    for script in /docker-entrypoint-initdb.d/*; do
        case $script in
            *.sql) ask --dbname "$database" --file "$script" ;;
            *.sh) PGHOST=/tmp PGUSER=$user PGDATABASE=$database sh "$script" ;;
        esac
    done
    pg_ctl --wait --silent --mode fast stop
}

case ${1:-} in -*) set -- postgres "$@" ;; esac
if [ "${1:-}" = postgres ] && [ "$(id -u)" = 0 ]; then
    mkdir -p "$PGDATA"
    chown -R 999:999 "$PGDATA"
    exec setpriv --reuid=999 --regid=999 --clear-groups "$0" "$@"
fi
if [ "${1:-}" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
    user=$(setting POSTGRES_USER postgres)
    password=$(setting POSTGRES_PASSWORD '')
    database=$(setting POSTGRES_DB "$user")
    method=${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}
    make_cluster
fi
exec "$@"
