#include "process_cost.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "wire/text.h"

bool process_list_parse(struct process_list *list, const char *text) {
    list->count = 0;
    for (;;) {
        size_t length = strcspn(text, ",");
        uint64_t pid;
        if (!text_parse_u64((struct span){text, length}, &pid) || pid == 0 || pid > INT32_MAX) return false;
        if (list->count == PROCESS_LIST_MAX) return false;
        list->pids[list->count++] = (int)pid;
        if (text[length] == '\0') return true;
        text += length + 1;
    }
}

struct process {
    int pid;
    int parent;
    uint64_t ticks;
    bool counted;
};

/* The command's name in the line may hold anything, so what follows its last closing parenthesis counts. */
static bool read_stat(int pid, struct process *process) {
    char path[64], line[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "re");
    if (file == NULL) return false;
    const char *rest = fgets(line, sizeof line, file) != NULL ? strrchr(line, ')') : NULL;
    fclose(file);
    uint64_t user, system;
    *process = (struct process){.pid = pid};
    if (rest == NULL || sscanf(rest, ") %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64,
                               &process->parent, &user, &system) != 3) {
        return false;
    }
    process->ticks = user + system;
    return true;
}

/* The value of a line "NAME:   123 kB", in bytes; 0 when there is none. */
static uint64_t read_kilobytes(int pid, const char *file_name, const char *name) {
    char path[64], line[256];
    uint64_t kilobytes = 0;
    snprintf(path, sizeof path, "/proc/%d/%s", pid, file_name);
    FILE *file = fopen(path, "re");
    if (file == NULL) return 0;
    size_t length = strlen(name);
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, name, length) == 0 && sscanf(line + length, " %" SCNu64, &kilobytes) == 1) break;
    }
    fclose(file);
    return kilobytes * 1024;
}

static void count_process(struct process *process, struct process_cost *cost) {
    process->counted = true;
    cost->cpu_seconds += (double)process->ticks / (double)sysconf(_SC_CLK_TCK);
    cost->resident_bytes += read_kilobytes(process->pid, "status", "VmRSS:");
    cost->proportional_bytes += read_kilobytes(process->pid, "smaps_rollup", "Pss:");
    cost->processes++;
}

/* All processes of this machine; *count of them, to be freed. */
static struct process *read_all(size_t *count) {
    struct process *all = NULL;
    size_t capacity = 0;
    *count = 0;
    DIR *directory = opendir("/proc");
    const struct dirent *entry;
    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        struct process process;
        int pid = atoi(entry->d_name);
        if (pid <= 0 || !read_stat(pid, &process)) continue;
        if (*count == capacity) {
            capacity = capacity == 0 ? 256 : capacity * 2;
            struct process *grown = realloc(all, capacity * sizeof *grown);
            if (grown == NULL) break;
            all = grown;
        }
        all[(*count)++] = process;
    }
    if (directory != NULL) closedir(directory);
    return all;
}

static bool is_counted(const struct process *all, size_t count, int pid) {
    for (size_t i = 0; i < count; i++) {
        if (all[i].pid == pid) return all[i].counted;
    }
    return false;
}

/* Counts each process whose parent is counted. True: there was one. */
static bool count_children(struct process *all, size_t count, struct process_cost *cost) {
    bool found = false;
    for (size_t i = 0; i < count; i++) {
        if (all[i].counted || !is_counted(all, count, all[i].parent)) continue;
        count_process(&all[i], cost);
        found = true;
    }
    return found;
}

bool process_cost_read(const struct process_list *list, struct process_cost *cost, int *gone) {
    memset(cost, 0, sizeof *cost);
    size_t count;
    struct process *all = read_all(&count);
    bool complete = true;
    for (size_t i = 0; i < list->count; i++) {
        size_t place = 0;
        while (place < count && all[place].pid != list->pids[i]) {
            place++;
        }
        if (place == count) {
            *gone = list->pids[i];
            complete = false;
        } else if (!all[place].counted) {
            count_process(&all[place], cost);
        }
    }
    while (count_children(all, count, cost)) {
    }
    free(all);
    return complete;
}

double process_own_cpu_seconds(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec / 1e6 + (double)usage.ru_stime.tv_sec +
           (double)usage.ru_stime.tv_usec / 1e6;
}

double process_own_starved_seconds(void) {
    uint64_t waited_ns = 0;
    FILE *file = fopen("/proc/thread-self/schedstat", "re");
    if (file == NULL) return 0;
    if (fscanf(file, "%*u %" SCNu64, &waited_ns) != 1) waited_ns = 0;
    fclose(file);
    return (double)waited_ns / 1e9;
}
