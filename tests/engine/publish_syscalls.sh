#!/usr/bin/env bash
# No system call is made between the two getppid(2) that stand around a million publishes and reads.
#   publish_syscalls.sh PROGRAM
set -euo pipefail

count=1000000
trace=$(mktemp)
trap 'rm -f "$trace"' EXIT

if ! command -v strace >/dev/null; then
    echo "skipped: there is no strace"
    exit 77
fi
if ! strace -f -o "$trace" true 2>/dev/null; then
    echo "skipped: strace may not trace here"
    exit 77
fi

strace -f -o "$trace" "$1" --steady "$count"
marks=$(grep -c 'getppid(' "$trace" || true)
[ "$marks" -eq 2 ] || { echo "expected 2 marks in the trace, found $marks"; exit 1; }
outside=$(grep -vc 'getppid(' "$trace" || true)
[ "$outside" -gt 0 ] || { echo "the trace is empty: it shows nothing"; exit 1; }
between=$(awk '/getppid\(/ { marks++; next } marks == 1' "$trace")
if [ -n "$between" ]; then
    echo "system calls while publishing:"
    echo "$between" | head -20
    exit 1
fi
echo "0 system calls in $count publishes and reads; $outside before and after them"
