#!/bin/sh
# The report of recorded results, which measures nothing: report_test.sh SCRIPTS_BENCH. Table and goals on standard
# output, and a page that needs nothing else; without matplotlib it has no plots, and says so.
set -eu
command=$1
recorded=$(dirname "$0")/report_test.json
[ -x /usr/bin/python3 ] || { echo "SKIPPED  there is no /usr/bin/python3"; exit 77; }
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

expect() {
    grep -Eq "$2" "$scratch/$1" || { echo "FAILED  nothing in $1 matches: $2"; cat "$scratch/$1"; exit 1; }
}

"$command" --report "$recorded" --build "$scratch" >"$scratch/text"
expect text '^ +nchan +100,000 +90,000 +110,000 +3 +20.0 x better$'
expect text '^B +fan-out, 16 in flight, of nchan.* 20.0 x +met$'
expect text '^B +fan-out, 16 in flight, of the bare loop.* 0.80 x +not met$'
expect text '^A +live_hop_ns .*not judged \(the two cores are far apart'
expect text '^C .*not run$'
expect text 'better-sse +not measured: only with --peers'

page=bench/bench.html
expect $page '<span class="state not-met">not met</span>'
if grep -q 'src=|href="http|@import' "$scratch/$page"; then
    echo "FAILED  the page needs something from elsewhere"
    exit 1
fi
if /usr/bin/python3 -c 'import matplotlib' 2>/dev/null; then
    expect $page '<svg role="img"'
    expect $page 'fill: var\(--weir\)'
else
    expect $page 'The plots are missing'
fi

# What it cannot read it names.
echo '{}' >"$scratch/other.json"
if "$command" --report "$scratch/other.json" --build "$scratch" 2>"$scratch/errors"; then exit 1; fi
expect errors 'has not the format of this version'
