#!/usr/bin/env bash
# The `weir` command as a person meets it: real processes, real sockets. Usage: command.sh PATH_OF_WEIR
# Nothing sleeps: every step waits for a line of output, with a bound.
# shellcheck disable=SC2016 # conditions are quoted because `check` evaluates them
set -u

weir=$1
work=$(mktemp -d)
failures=0
checks=0
server=
follower=

clean_up() {
    [ -n "$server" ] && kill -9 "$server" 2>/dev/null
    [ -n "$follower" ] && kill -9 "$follower" 2>/dev/null
    rm -rf "$work"
}
trap clean_up EXIT

# check SENTENCE COMMAND...: the sentence holds when the command succeeds.
check() {
    local sentence=$1
    shift
    checks=$((checks + 1))
    if "$@"; then
        echo "ok      $sentence"
    else
        echo "FAILED  $sentence: $*"
        failures=$((failures + 1))
    fi
}

# run WEIR_ARGUMENTS...: leaves $code, $work/out and $work/err.
run() {
    timeout 60 "$weir" "$@" >"$work/out" 2>"$work/err"
    code=$?
}

said() { grep -q -- "$1" "$work/err"; }
printed() { grep -q -- "$1" "$work/out"; }
is() { [ "$1" = "$2" ]; }

# await DESCRIPTOR PATTERN: reads lines until one matches; it is left in $line.
await() {
    while IFS= read -r -t 60 line <&"$1"; do
        [[ $line =~ $2 ]] && return 0
    done
    echo "no line matching '$2' came" >&2
    return 1
}

# start_server ARGUMENTS...: leaves $server, $address, and the descriptors $server_out and $server_err.
start_server() {
    rm -f "$work"/server.*
    mkfifo "$work/server.out" "$work/server.err"
    "$weir" serve "$@" >"$work/server.out" 2>"$work/server.err" &
    server=$!
    exec {server_out}<"$work/server.out" {server_err}<"$work/server.err"
    if await "$server_out" '^listening on http://(.*)$'; then
        address=${BASH_REMATCH[1]}
        await "$server_out" '^backend: '
        return
    fi
    reason=$(cat <&"$server_err")
    stop_server KILL
    return 1
}

# need_server ARGUMENTS...: as start_server, or the end of the test.
need_server() {
    start_server "$@" && return
    echo "FAILED  weir serve $*: $reason"
    exit 1
}

# restart_server ARGUMENTS...: on the address of one that was killed. The kernel takes io_uring's requests, and with
# them the listener, down a moment after the process.
restart_server() {
    local tries
    for tries in {1..1000}; do
        start_server "$@" 2>/dev/null && return
        [[ $reason == *"already in use"* ]] || break
    done
    echo "FAILED  weir serve $*, $tries times: $reason"
    exit 1
}

# stop_server SIGNAL: leaves the exit code in $code.
stop_server() {
    kill "-$1" "$server" 2>/dev/null
    wait "$server" 2>/dev/null
    code=$?
    server=
    exec {server_out}<&- {server_err}<&-
}

# follow ARGUMENTS...: weir tail in the background: $follower, its descriptors $seen (output) and $told (errors).
follow() {
    rm -f "$work/seen.fifo" "$work/told.fifo"
    mkfifo "$work/seen.fifo" "$work/told.fifo"
    "$weir" tail "$@" >"$work/seen.fifo" 2>"$work/told.fifo" &
    follower=$!
    exec {seen}<"$work/seen.fifo" {told}<"$work/told.fifo"
}

# Leaves the follower's exit code in $code.
end_follow() {
    wait "$follower"
    code=$?
    follower=
    exec {seen}<&- {told}<&-
}

# request METHOD PATH: one bare HTTP request; prints the answer.
request() {
    exec {wire}<>"/dev/tcp/${address%:*}/${address##*:}"
    printf '%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$1" "$2" "$address" >&"$wire"
    timeout 60 cat <&"$wire"
    exec {wire}<&-
}

help_and_usage() {
    run --version
    check "--version tells version, backend and libraries" \
        eval 'is $code 0 && printed "^weir [0-9]" && printed "^backend: ." && printed "liburing .*llhttp .*jemalloc"'
    run
    check "no command is bad usage, and help comes" eval 'is $code 2 && said "usage: weir"'
    run nonsense
    check "an unknown command is bad usage" eval 'is $code 2 && said "no command .nonsense."'
    local command
    for command in serve publish tail; do
        run $command --help
        check "$command --help explains itself" \
            eval 'is $code 0 && printed "^usage: weir '$command'" && printed "Exit codes"'
        run $command --nonsense
        check "$command names an unknown option" \
            eval 'is $code 2 && said "no option .--nonsense." && said "try .weir '$command' --help"'
    done
    run serve --replay x
    check "a bad number is told with its range" \
        eval 'is $code 2 && said "replay: .x. is not a number; expected 0 to 16777216"'
    run serve --max-event=2m
    check "a number out of range is told with its range" eval 'is $code 2 && said "out of range; expected 1 to 1m"'
    run serve --io=select
    check "a bad choice is told with the choices" eval 'is $code 2 && said "not one of: auto, uring, epoll"'
    run serve --listen
    check "a missing value is told" eval 'is $code 2 && said "needs a value"'
    run serve --listen nowhere
    check "an address that is none is bad usage" is "$code" 2
    run publish
    check "a missing session is told" eval 'is $code 2 && said "SESSION is missing"'
    run tail 'a/b'
    check "a bad session name is told" eval 'is $code 2 && said "not a session name"'
    run tail s --url ftp://x
    check "a bad URL is told" eval 'is $code 2 && said "does not begin with http://"'
    run tail s --url http://127.0.0.1:1
    check "no server is a failure, not bad usage" eval 'is $code 1 && said "refused"'
}

publish_and_tail() {
    need_server --listen 127.0.0.1:0 --replay 2000
    seq 1 1500 >"$work/lines"
    run publish numbers --url "http://$address" <"$work/lines"
    check "1,500 lines are accepted" eval 'is $code 0 && said "1500 lines accepted"'
    run tail numbers --url "http://$address" --count 1500
    check "and tail prints the same lines" eval 'is $code 0 && cmp -s "$work/out" "$work/lines"'
    printf 'first\n\nthird "quoted"\n' | "$weir" publish kinds --event note --url "http://$address" 2>/dev/null
    run tail kinds --url "http://$address" --json --count 3
    check "--json prints ids, kinds and data, also of an empty line" \
        eval 'is "$(grep -c "^{\"id\":\"[^\"]*\",\"event\":\"note\",\"data\":\".*\"}$" "$work/out")" 3 &&
              printed "\"data\":\"\"" && printed "third .\"quoted.\""'
    printf 'good\n\xff\xfe\nalso good\n' >"$work/mixed"
    run publish mixed --url "http://$address" <"$work/mixed"
    check "a line that is not UTF-8 is named, the others are accepted" \
        eval 'is $code 4 && said "not accepted (1): 2" && said "2 lines accepted"'


    follow kinds --url "http://$address"
    check "a follower prints what is kept" await "$seen" '^third "quoted"$'
    request DELETE /sessions/kinds >"$work/deleted"
    check "a session can be deleted" grep -q '^HTTP/1.1 204' "$work/deleted"
    check "its followers are told" await "$told" 'the session has ended: terminated'
    end_follow
    check "and end with 0" is "$code" 0
    stop_server TERM
    check "SIGTERM drains and exits with 0" is "$code" 0
}

tokens_and_admin_socket() {
    local token=0123456789abcdef
    echo short >"$work/short"
    (umask 077; echo $token >"$work/token")
    run serve --token-file "$work/short"
    check "a short token is refused with the reason" eval 'is $code 2 && said "has 5 bytes; a token takes 16 to 256"'
    run serve --token-file "$work/nowhere"
    check "a missing token file is told" eval 'is $code 2 && said "No such file"'

    need_server --listen 127.0.0.1:0 --token-file "$work/token"
    run publish locked --url "http://$address" <<<x
    check "publishing without the token is refused in the server's words" eval 'is $code 4 && said "401 "'
    check "and the line is named not sent" said "not sent: line 1 and all after it"
    run publish locked --url "http://$address" --token-file "$work/token" <<<x
    check "with it, it is accepted" eval 'is $code 0 && said "1 lines accepted"'
    stop_server TERM

    need_server --listen 127.0.0.1:0 --admin-listen "unix:$work/admin.socket"
    run publish apart --unix "$work/admin.socket" <<<x
    check "publishing through the admin socket is accepted" is "$code" 0
    run publish apart --url "http://$address" <<<x
    check "and refused beside it" is "$code" 4
    run tail apart --url "http://$address" --count 1
    check "while anybody may read" eval 'is $code 0 && printed "^x$"'
    stop_server TERM

    need_server --listen 127.0.0.1:0 --sessions strict
    run tail nobody --url "http://$address"
    check "--sessions strict: reading a session that nobody made is refused" eval 'is $code 4 && said "404 "'
    run publish nobody --url "http://$address" <<<x
    check "and so is publishing to it" eval 'is $code 4 && said "404 "'
    stop_server TERM
}

# Acceptance E: a new life of the server is never taken for the old one.
kill_and_restart() {
    need_server --listen 127.0.0.1:0 --retry 20
    local first_address=$address
    run publish lives --url "http://$address" <<<before
    follow lives --url "http://$address"
    check "a follower is up to date" await "$seen" '^before$'
    stop_server KILL
    check "it notices that the server is gone" await "$told" 'cut: '
    restart_server --listen "$first_address" --retry 20
    run publish lives --url "http://$address" <<<after
    check "after kill -9 and a restart it comes back by itself" await "$seen" '^after$'
    check "and tells a gap with the new epoch (L03)" await "$told" 'gap: .*reason epoch.*now epoch [0-9A-Za-z_-]+'
    kill -INT "$follower"
    check "SIGINT ends it with the id to go on from" await "$told" 'stopped; --last-id [0-9A-Za-z_-]+\.1 goes on'
    local id=$line
    end_follow
    check "and 130" is "$code" 130
    id=${id#*--last-id }
    run publish lives --url "http://$address" <<<later
    run tail lives --url "http://$address" --last-id "${id%% *}" --count 1
    check "--last-id goes on behind that event" eval 'is $code 0 && is "$(cat "$work/out")" later'
    stop_server TERM
}

ends_of_the_server() {
    need_server --listen 127.0.0.1:0 --drain 3600000 --demo
    check "--demo says what to open" await "$server_out" "^demo: open http://$address/"
    check "and what to try" await "$server_out" "^  curl -N http://$address/sessions/demo/events"
    run tail demo --url "http://$address" --count 2
    check "and feeds real figures" eval 'is $code 0 && printed "\"load\":\[[0-9.,]*\],\"cpu_percent\":[0-9.]"'
    local memory
    memory=$(awk '/^MemTotal/ { print int($2 / 1024) }' /proc/meminfo)
    check "of this machine" printed "\"memory_total_mib\":$memory,"
    follow demo --url "http://$address"
    check "with a follower on it" await "$seen" cpu_percent
    kill -HUP "$server"
    kill -PIPE "$server"
    check "SIGHUP and SIGPIPE change nothing (L07)" await "$seen" cpu_percent
    kill -TERM "$server"
    check "SIGTERM begins a drain" await "$server_err" 'draining'
    stop_server INT
    check "a second signal ends a drain of an hour at once (L01, L02)" is "$code" 0
    check "the follower waits for the server to come back" await "$told" 'cut: '
    kill -TERM "$follower"
    end_follow
    check "until it is ended" is "$code" 130
}

help_and_usage
publish_and_tail
tokens_and_admin_socket
kill_and_restart
ends_of_the_server
echo "$checks checks, $failures failed"
[ $failures = 0 ]
