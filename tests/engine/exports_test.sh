#!/usr/bin/env bash
# The shared library exports the functions that the public headers declare, all of them and nothing else.
#   exports_test.sh LIBRARY FOLDER: the headers are FOLDER/*.h
set -euo pipefail

command -v nm >/dev/null || { echo "skipped: there is no nm"; exit 77; }
exported=$(nm -D --defined-only "$1" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort)
declared=$(sed -n 's/^WEIR_API .*\b\(weir_[a-z0-9_]*\)(.*/\1/p' "$2"/*.h | sort)
[ "$(wc -l <<<"$declared")" -ge 25 ] || { echo "found only these in $2:"; echo "$declared"; exit 1; }
diff <(echo "$declared") <(echo "$exported") || { echo "(< declared, > exported)"; exit 1; }
echo "$(wc -l <<<"$exported") functions"
