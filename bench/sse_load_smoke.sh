#!/bin/sh
# The load program against a weir server, small: sse_load_smoke.sh WEIR SSE_LOAD. It checks every byte by itself.
set -eu
weir=$1
load=$2
scratch=$(mktemp -d)
"$weir" serve --listen 127.0.0.1:0 --threads 1 --drain 1 >"$scratch/log" 2>&1 &
server=$!
trap 'kill $server 2>/dev/null || true; wait $server 2>/dev/null || true; rm -rf "$scratch"' EXIT

# The server says where it listens once it is ready; a try costs 50 ms, and after 30 s it never will.
tries=0
until grep -q '^backend:' "$scratch/log"; do
    tries=$((tries + 1))
    if [ $tries -gt 600 ] || ! kill -0 $server; then
        cat "$scratch/log"
        exit 1
    fi
    sleep 0.05
done
port=$(sed -n 's/^listening on .*:\([0-9]*\)$/\1/p' "$scratch/log")

"$load" --port "$port" --server-pid $server --label weir --subscribe '/sessions/smoke/events?from=now' \
    --publish /sessions/smoke/events --subscribers 20 --publishers 2 --publishes 2000
"$load" --port "$port" --server-pid $server --label weir --idle --subscribe '/sessions/smoke-%d/events' --subscribers 50
