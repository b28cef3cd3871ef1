#!/bin/sh
# Runs nginx, and keeps its upstream at the replicas that Swarm's DNS names: Debian's nginx 1.22 reads names once, when it starts.
# Swarm lists a replica from its first healthy answer until two seconds before its SIGTERM, so a list that is never older than
# a second sends nobody to a replica that ends. nginx is reloaded only for a list that changed and has held for one look.
set -u
service=${UPSTREAM_SERVICE:-tasks.web}
port=${UPSTREAM_PORT:-8000}
pause=${UPSTREAM_PAUSE:-0.25}
folder=${UPSTREAM_FOLDER:-/tmp}
configuration=${NGINX_CONFIGURATION:-/etc/nginx/nginx.conf}
exemption=${EXEMPTION_FILE:-/run/secrets/rate_limit_exemption}
# An answer that does not come is none, and the last one stays in use.
export RES_OPTIONS="timeout:1 attempts:1"

replicas() {
    getent ahostsv4 "$service" | cut -d ' ' -f 1 | sort -u
}

# write_upstream ADDRESS...: nginx reads the file only when it is told to, so it is whole by then.
write_upstream() {
    {
        echo 'upstream web {'
        echo '    zone web 128k;'
        echo '    least_conn;'
        # Out for a second after two failures; the delay of a rolling update is longer than that.
        for address in "$@"; do echo "    server $address:$port max_fails=2 fail_timeout=1s;"; done
        [ $# -gt 0 ] || echo "    server 127.0.0.1:$port down;"
        echo '    keepalive 64;'
        # The service closes after 75 s: nginx is always the side that ends a connection.
        echo '    keepalive_timeout 60s;'
        echo '}'
    } > "$folder/upstream.conf.new"
    mv "$folder/upstream.conf.new" "$folder/upstream.conf"
}

reload() {
    nginx -q -t -c "$configuration" && kill -HUP "$nginx"
}

key=$(cat "$exemption" 2> /dev/null)
# Whoever sends the key is not limited; without a key that is nobody.
case $key in
    '' | *[!A-Za-z0-9_-]*) : > "$folder/exemption.conf" ;;
    *) echo "\"$key\" '';" > "$folder/exemption.conf" ;;
esac
chmod 600 "$folder/exemption.conf"

known=$(replicas)
# shellcheck disable=SC2086 # one word for each address
write_upstream $known
nginx -c "$configuration" -g 'daemon off;' &
nginx=$!
trap 'kill -QUIT "$nginx"' QUIT TERM INT
trap reload HUP

seen=$known
while kill -0 "$nginx" 2> /dev/null; do
    sleep "$pause"
    found=$(replicas)
    if [ -n "$found" ] && [ "$found" != "$known" ] && [ "$found" = "$seen" ]; then
        # shellcheck disable=SC2086
        write_upstream $found
        reload && known=$found
    fi
    seen=$found
done
wait "$nginx"
