#!/usr/bin/env bash
# An installation is usable: the README's example is built against it with pkg-config (shared, as C and as C++) and with
# CMake (static and shared), and each prints what the README says. Also: the examples in the README are those of the tests.
set -euo pipefail
source_dir=$1
build_dir=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cmake --install "$build_dir" --prefix "$work/prefix" > "$work/install.log"
cp "$source_dir/tests/api/embed_example.c" "$work/example.c"
cp "$source_dir/tests/api/embed_example.c" "$work/example.cc"
expected=$'1: hello\n2: world'

check() {
    actual=$("$@")
    [ "$actual" = "$expected" ] || { echo "$* printed: $actual"; exit 1; }
    echo "ok: $(basename "$1")"
}

same_as_readme() { # MARKER FILE: the block of the README between <!-- MARKER --> and <!-- end of MARKER -->
    sed -n "/<!-- $1 -->/,/<!-- end of $1 -->/p" "$source_dir/README.md" | sed '1,2d' | sed '/^```$/,$d' > "$work/readme.c"
    diff "$work/readme.c" "$source_dir/tests/api/$2" || { echo "the $1 in README.md differs from tests/api/$2"; exit 1; }
}
same_as_readme example embed_example.c
same_as_readme loop embed_loop.c

pc=$(find "$work/prefix" -name weir.pc -printf '%h')
export PKG_CONFIG_PATH=$pc
libdir=$(pkg-config --variable=libdir weir)
cc -std=c11 -Wall -Wextra -Werror "$work/example.c" $(pkg-config --cflags --libs weir) -Wl,-rpath,"$libdir" -o "$work/c_shared"
c++ -std=c++17 -Wall -Wextra -Werror "$work/example.cc" $(pkg-config --cflags --libs weir) -Wl,-rpath,"$libdir" -o "$work/cpp_shared"
check "$work/c_shared"
check "$work/cpp_shared"

cat > "$work/CMakeLists.txt" <<'CMAKE'
cmake_minimum_required(VERSION 3.22)
project(example C)
find_package(weir REQUIRED)
add_executable(cmake_static example.c)
target_link_libraries(cmake_static weir::weir_static)
add_executable(cmake_shared example.c)
target_link_libraries(cmake_shared weir::weir)
CMAKE
cmake -S "$work" -B "$work/build" -DCMAKE_PREFIX_PATH="$work/prefix" > "$work/configure.log"
cmake --build "$work/build" > "$work/build.log"
check "$work/build/cmake_static"
check "$work/build/cmake_shared"
