#!/bin/sh
# in_network.sh COMMAND...: runs it in a network of its own, with a loopback and nothing else, so that it may kill
# connections, lose packets and set buffer sizes there. Exits with 77 where such a network cannot be made.
set -eu
skip() {
    echo "SKIPPED  $*"
    exit 77
}
for tool in unshare ip ss; do
    command -v $tool >/dev/null || skip "$tool is not installed"
done
as=-n
[ "$(id -u)" = 0 ] || as=-rn
unshare $as true 2>/dev/null || skip "no network namespace can be made here"
exec unshare $as sh -c 'ip link set lo up && exec "$@"' sh "$@"
