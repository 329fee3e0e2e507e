/* weir_hot_paths: performs every hot path (hot_path.h), or those named, and has callgrind write a dump for each, under
 * its name. Prints what the counts depend on beside the source, and "NAME OPERATIONS" for each. scripts/instructions runs
 * it and reads the dumps; run by itself it checks that the paths do their work. */
#include <gnu/libc-version.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hot_path.h"

static const struct hot_path *const tables[] = {publish_paths, read_paths, session_paths,
#ifdef WEIR_HOT_PATHS_IO
                                                wire_paths, server_paths
#endif
};

static void print_toolchain(void) {
#ifdef __clang__
    printf("toolchain clang-%d.%d", __clang_major__, __clang_minor__);
#else
    printf("toolchain gcc-%d.%d", __GNUC__, __GNUC_MINOR__);
#endif
    printf(",glibc-%s,%s\n", gnu_get_libc_version(), WEIR_PROCESSOR);
}

/* The stack begins where the environment and the arguments end; a page's alignment here makes its place in a page the
 * same for all that is called. */
__attribute__((noinline)) static void count_path(const struct hot_path *path) {
    _Alignas(4096) char page[4096];
    __asm__ volatile("" : : "r"(page) : "memory"); /* or the compiler would leave it out */
    void *state = path->open();
    path->run(state, path->operations);
    CALLGRIND_ZERO_STATS;
    path->run(state, path->operations);
    CALLGRIND_DUMP_STATS_AT(path->name);
    path->close(state);
}

/* In a process of its own, so that each path finds the allocator as no other has left it. */
static bool count_alone(const struct hot_path *path) {
    int status;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        count_path(path);
        _exit(0);
    }
    return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool is_wanted(const char *name, char **names) {
    for (char **wanted = names; *wanted != NULL; wanted++)
        if (strcmp(name, *wanted) == 0) return true;
    return *names == NULL;
}

static unsigned count_table(const struct hot_path *path, char **names) {
    unsigned counted = 0;
    for (; path->name != NULL; path++) {
        if (!is_wanted(path->name, names)) continue;
        EXPECT(count_alone(path));
        printf("%s %u\n", path->name, path->operations);
        counted++;
    }
    return counted;
}

int main(int argc, char **argv) {
    unsigned counted = 0;
    print_toolchain();
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
        counted += count_table(tables[i], argv + 1);
    if (counted > 0 && (argc == 1 || counted == (unsigned)argc - 1)) return 0;
    fprintf(stderr, "weir_hot_paths: there is no path of that name; scripts/instructions lists them\n");
    return 2;
}
