#include "progress.h"

#include <stdio.h>
#include <unistd.h>

#include "command/command.h"

static const char *const phase_names[] = {"connecting", "warming up", "measuring", "ending"};

void progress_init(struct progress *progress) {
    *progress = (struct progress){.terminal = isatty(STDERR_FILENO) == 1, .shown_ns = ledger_now_ns()};
}

void progress_show(struct progress *progress, const struct load *load, uint64_t now_ns) {
    uint64_t passed = now_ns - progress->shown_ns;
    if (passed < (progress->terminal ? UINT64_C(1000000000) : UINT64_C(10000000000))) return;
    uint64_t deliveries = load->ledger->deliveries;
    double rate = (double)(deliveries - progress->deliveries) * 1e9 / (double)passed;
    char line[160];
    snprintf(line, sizeof line, "%s: %u of %u streams, %llu events published, %.0f deliveries a second",
             phase_names[load->phase], load->live, load->subscriber_count,
             (unsigned long long)load->ledger->published, rate);
    if (progress->terminal)
        fprintf(stderr, "\r\033[K%s", line);
    else
        command_say("bench", "%s", line);
    progress->shown_ns = now_ns;
    progress->deliveries = deliveries;
}

void progress_clear(const struct progress *progress) {
    if (progress->terminal) fputs("\r\033[K", stderr);
}
