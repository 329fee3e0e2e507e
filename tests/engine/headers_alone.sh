#!/usr/bin/env bash
# Each public header compiles alone, as C11 and as C++17, without a warning.
#   headers_alone.sh FOLDER C-COMPILER C++-COMPILER
set -euo pipefail

checked=0
for header in "$1"/*.h; do
    echo "#include \"$header\"" | "$2" -std=c11 -Wall -Wextra -Wpedantic -Werror -fsyntax-only -I "$1" -x c -
    echo "#include \"$header\"" | "$3" -std=c++17 -Wall -Wextra -Wpedantic -Werror -fsyntax-only -I "$1" -x c++ -
    checked=$((checked + 1))
done
[ "$checked" -ge 5 ] || { echo "found only $checked headers in $1"; exit 1; }
echo "$checked headers"
