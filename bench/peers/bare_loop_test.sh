#!/bin/sh
# The bare loop under the load program, which checks every event at every subscriber: bare_loop_test.sh WEIR BARE_LOOP.
# Without io_uring it is skipped.
set -eu
weir=$1
bare_loop=$2
scratch=$(mktemp -d)
"$bare_loop" >"$scratch/log" 2>&1 &
server=$!
trap 'kill $server 2>/dev/null || true; wait $server 2>/dev/null || true; rm -rf "$scratch"' EXIT

# A try costs 50 ms, and after 30 s it will never listen.
tries=0
until grep -q '^listening on' "$scratch/log"; do
    tries=$((tries + 1))
    if [ $tries -gt 600 ] || ! kill -0 $server 2>/dev/null; then
        cat "$scratch/log"
        grep -q '^io_uring_setup' "$scratch/log" && { echo "SKIPPED  there is no io_uring"; exit 77; }
        exit 1
    fi
    sleep 0.05
done

load() {
    "$weir" bench --url "http://$(sed -n 's/^listening on //p' "$scratch/log")" --subscribe '/#' --publish '/#' \
        --warmup 0 --seconds 1 --server-pid $server "$@"
}

load --subscribers 20 --publishers 3 --depth 4
load --subscribers 20 --sessions 20 --depth 64
load --subscribers 5 --size 5000 --depth 4 # more than the ring holds, again and again
load --subscribers 100 --publishers 0      # those before it have left it whole
