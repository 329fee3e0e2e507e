#!/usr/bin/env bash
# prints.sh EXPECTED PROGRAM...: the program succeeds and prints exactly that; \n in it is a line break.
set -euo pipefail
expected=$(printf '%b' "$1")
shift
actual=$("$@")
[ "$actual" = "$expected" ] || { echo "$* printed: $actual"; exit 1; }
