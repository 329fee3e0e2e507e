/* Shows where other parsers of HTTP read the table's requests as weir does, and that each case where one does not is
 * known and has a reason: which requests there are, with which bodies, and what becomes of the rest. Two readers that
 * differ in that, one behind the other, are how requests are smuggled.
 *
 *   conformance_peers_test [--case NAME | --disagreements] PEER COMMAND...
 *
 * The command reads a case a line and answers a line a case (peers/README.md). --disagreements prints what differs
 * instead of checking it. A peer that is not installed is a skip. */
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arguments.h"
#include "disagreements.h"
#include "verdict.h"

#define DISAGREEMENTS CONFORMANCE_FOLDER "/disagreements.txt"

struct peer {
    const char *name;
    pid_t process;
    FILE *to;
    FILE *from;
    char *line; /* its last answer */
    size_t capacity;
};

struct counts {
    size_t agreed;
    size_t explained;
    size_t failed;
};

/* ---- The peer ------------------------------------------------------------------------------------------------ */

__attribute__((noreturn)) static void die(const char *what) {
    perror(what);
    exit(1);
}

static bool read_line(struct peer *peer) {
    ssize_t length = getline(&peer->line, &peer->capacity, peer->from);
    if (length <= 0) return false;
    if (peer->line[length - 1] == '\n') peer->line[length - 1] = '\0';
    return true;
}

/* False when it is not installed. */
static bool start_peer(struct peer *peer, char **command) {
    extern char **environ;
    int to[2], from[2];
    posix_spawn_file_actions_t actions;
    if (pipe(to) != 0 || pipe(from) != 0) die("pipe");
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, to[0], 0);
    posix_spawn_file_actions_adddup2(&actions, from[1], 1);
    const int all[4] = {to[0], to[1], from[0], from[1]};
    for (int i = 0; i < 4; i++)
        posix_spawn_file_actions_addclose(&actions, all[i]);
    if (posix_spawnp(&peer->process, command[0], &actions, NULL, command, environ) != 0) die(command[0]);
    posix_spawn_file_actions_destroy(&actions);
    close(to[0]);
    close(from[1]);
    peer->to = fdopen(to[1], "w");
    peer->from = fdopen(from[0], "r");
    if (peer->to == NULL || peer->from == NULL) die("fdopen");
    if (!read_line(peer)) {
        fprintf(stderr, "%s says nothing\n", peer->name);
        exit(1);
    }
    printf("%s: %s\n", peer->name, peer->line);
    return strncmp(peer->line, "absent", 6) != 0;
}

static void stop_peer(struct peer *peer) {
    int status;
    fclose(peer->to);
    fclose(peer->from);
    free(peer->line);
    if (waitpid(peer->process, &status, 0) != peer->process) die("waitpid");
}

static const char *ask(struct peer *peer, struct span request) {
    for (size_t i = 0; i < request.length; i++)
        fprintf(peer->to, "%02x", (unsigned char)request.data[i]);
    fputc('\n', peer->to);
    if (fflush(peer->to) != 0 || !read_line(peer)) {
        fprintf(stderr, "%s has ended\n", peer->name);
        exit(1);
    }
    return peer->line;
}

/* ---- Comparing ------------------------------------------------------------------------------------------------ */

struct comparison {
    const struct conformance_case *one;
    const char *ours;
    const char *theirs;
    char our_form[VERDICT_MAX];
    char their_form[VERDICT_MAX];
};

static void report(const struct peer *peer, const struct comparison *comparison, const char *what) {
    const struct conformance_case *one = comparison->one;
    fprintf(stderr, "%s:%u: %.*s: %s\n  weir:  %s\n  %s: %s\n", one->file, one->line, (int)one->name.length,
            one->name.data, what, comparison->ours, peer->name, comparison->theirs);
    case_text_print(stderr, one->request.data, one->request.length);
}

/* A difference is held against the table. */
static bool is_explained(const struct peer *peer, const struct comparison *comparison, struct disagreement *known) {
    if (known == NULL) {
        report(peer, comparison, "a disagreement that disagreements.txt does not have");
        return false;
    }
    known->seen = true;
    if (span_equal(known->ours, span_of(comparison->our_form)) &&
        span_equal(known->theirs, span_of(comparison->their_form)))
        return true;
    report(peer, comparison, "another disagreement than the one in disagreements.txt");
    return false;
}

static void compare(struct peer *peer, const struct conformance_case *one, struct disagreement_list *list,
                    struct counts *counts) {
    struct case_text ours = {0};
    struct comparison comparison = {.one = one};
    verdict_of_weir(one->request, &ours);
    comparison.ours = ours.data;
    comparison.theirs = ask(peer, one->request);
    verdict_shorten(comparison.ours, comparison.our_form);
    verdict_shorten(comparison.theirs, comparison.their_form);
    bool agreed = verdict_equal(comparison.ours, comparison.theirs);
    if (agreed)
        counts->agreed++;
    else if (list == NULL)
        printf("    %s %.*s %s %s\n", peer->name, (int)one->name.length, one->name.data, comparison.our_form,
               comparison.their_form);
    else if (is_explained(peer, &comparison, disagreements_find(list, peer->name, one->name)))
        counts->explained++;
    else
        counts->failed++;
    free(ours.data);
}

/* A line about a disagreement that there is no longer would hide the next one. */
static size_t count_stale(const struct peer *peer, const struct disagreement_list *list) {
    size_t stale = 0;
    for (size_t i = 0; i < list->count; i++) {
        const struct disagreement *item = &list->items[i];
        if (item->seen || !span_equal(item->peer, span_of(peer->name))) continue;
        fprintf(stderr, DISAGREEMENTS ":%u: %.*s: there is no such disagreement\n", item->line,
                (int)item->name.length, item->name.data);
        stale++;
    }
    return stale;
}

int main(int count, char **arguments) {
    struct case_list cases;
    struct disagreement_list list;
    struct counts counts = {0, 0, 0};
    int at;
    read_arguments(count, arguments, &cases, &at);
    bool all = at == 1;
    bool printing = at < count && strcmp(arguments[at], "--disagreements") == 0;
    at += printing;
    if (at + 1 >= count) {
        fprintf(stderr, "usage: conformance_peers_test [--case NAME | --disagreements] PEER COMMAND...\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    struct peer peer = {.name = arguments[at]};
    disagreements_read(&list, DISAGREEMENTS);
    bool there = start_peer(&peer, arguments + at + 1);
    for (size_t i = 0; i < cases.count && there; i++)
        compare(&peer, &cases.cases[i], printing ? NULL : &list, &counts);
    if (there && all && !printing) counts.failed += count_stale(&peer, &list);
    stop_peer(&peer);
    if (there && !printing)
        printf("conformance: %zu cases, peer %s: %zu agree, %zu disagreements explained\n", cases.count, peer.name,
               counts.agreed, counts.explained);
    case_list_free(&cases);
    disagreements_free(&list);
    if (!there) return EXIT_SKIPPED;
    return counts.failed > 0;
}
