#include "machine.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The beginning of a file under /proc, as a string; empty when it cannot be read. */
static void read_text(const char *path, char *out, size_t capacity) {
    out[0] = '\0';
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return;
    ssize_t got = read(descriptor, out, capacity - 1);
    close(descriptor);
    out[got > 0 ? got : 0] = '\0';
}

static void sample_load(struct machine_figures *figures) {
    char text[128];
    read_text("/proc/loadavg", text, sizeof text);
    if (sscanf(text, "%lf %lf %lf", &figures->load_1, &figures->load_5, &figures->load_15) != 3) {
        figures->load_1 = figures->load_5 = figures->load_15 = 0;
    }
}

/* The first line of /proc/stat: user, nice, system, idle, iowait, irq, softirq and steal ticks since boot. */
static void sample_cpu(struct machine_sampler *sampler, struct machine_figures *figures) {
    char text[256];
    uint64_t ticks[8] = {0};
    read_text("/proc/stat", text, sizeof text);
    if (sscanf(text,
               "cpu %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64,
               &ticks[0], &ticks[1], &ticks[2], &ticks[3], &ticks[4], &ticks[5], &ticks[6], &ticks[7]) != 8) {
        return;
    }
    uint64_t total = 0;
    for (int i = 0; i < 8; i++) {
        total += ticks[i];
    }
    uint64_t busy = total - ticks[3] - ticks[4];
    if (sampler->total_ticks != 0 && total > sampler->total_ticks && busy >= sampler->busy_ticks) {
        figures->cpu_percent = 100.0 * (double)(busy - sampler->busy_ticks) / (double)(total - sampler->total_ticks);
    }
    sampler->busy_ticks = busy;
    sampler->total_ticks = total;
}

static uint64_t find_kib(const char *text, const char *label) {
    const char *found = strstr(text, label);
    uint64_t value = 0;
    if (found != NULL && sscanf(found + strlen(label), " %" SCNu64, &value) != 1) value = 0;
    return value;
}

static void sample_memory(struct machine_figures *figures) {
    char text[4096];
    read_text("/proc/meminfo", text, sizeof text);
    uint64_t available = find_kib(text, "MemAvailable:");
    figures->memory_total_kib = find_kib(text, "MemTotal:");
    figures->memory_used_kib = figures->memory_total_kib > available ? figures->memory_total_kib - available : 0;

    uint64_t pages = 0;
    read_text("/proc/self/statm", text, sizeof text);
    if (sscanf(text, "%*u %" SCNu64, &pages) != 1) pages = 0;
    figures->resident_kib = pages * (uint64_t)sysconf(_SC_PAGESIZE) / 1024;
}

void machine_sample(struct machine_sampler *sampler, struct machine_figures *figures) {
    memset(figures, 0, sizeof *figures);
    sample_load(figures);
    sample_cpu(sampler, figures);
    sample_memory(figures);
}
