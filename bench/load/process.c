#include "process.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* Reads the parent and the times from /proc/PID/stat. The command name in it may hold anything, so what follows its
 * last closing parenthesis counts. */
static bool read_stat(int pid, int *parent, double *cpu_seconds) {
    char path[64];
    char line[1024];
    unsigned long user;
    unsigned long system;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    if (!file) return false;
    const char *rest = fgets(line, sizeof line, file) ? strrchr(line, ')') : NULL;
    fclose(file);
    if (!rest || sscanf(rest, ") %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", parent, &user, &system) != 3) {
        return false;
    }
    *cpu_seconds = (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
    return true;
}

/* The value of a "Name:   123 kB" line, in bytes; 0 when it is not there. */
static uint64_t read_kilobytes(int pid, const char *file_name, const char *name) {
    char path[64];
    char line[256];
    uint64_t bytes = 0;
    snprintf(path, sizeof path, "/proc/%d/%s", pid, file_name);
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file)) {
        if (strncmp(line, name, strlen(name)) == 0) {
            bytes = strtoull(line + strlen(name), NULL, 10) * 1024;
            break;
        }
    }
    if (file) fclose(file);
    return bytes;
}

static void add_process(int pid, double cpu_seconds, struct process_cost *cost) {
    cost->cpu_seconds += cpu_seconds;
    cost->resident_bytes += read_kilobytes(pid, "status", "VmRSS:");
    cost->proportional_bytes += read_kilobytes(pid, "smaps_rollup", "Pss:");
    cost->processes++;
}

bool process_cost_read(int pid, struct process_cost *cost) {
    int parent;
    double cpu_seconds;
    *cost = (struct process_cost){0};
    if (!read_stat(pid, &parent, &cpu_seconds)) return false;
    add_process(pid, cpu_seconds, cost);
    DIR *directory = opendir("/proc");
    const struct dirent *entry;
    while (directory && (entry = readdir(directory)) != NULL) {
        int other = atoi(entry->d_name);
        if (other > 0 && read_stat(other, &parent, &cpu_seconds) && parent == pid) {
            add_process(other, cpu_seconds, cost);
        }
    }
    if (directory) closedir(directory);
    return true;
}

static double seconds(struct timeval time) {
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

double own_cpu_seconds(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}
