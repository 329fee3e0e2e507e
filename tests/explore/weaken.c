#include "weaken.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "site.h"

extern struct explore_site *const __start_explore_sites[];
extern struct explore_site *const __stop_explore_sites[];

#define NAME_MOST 192

static size_t site_count(void) {
    return (size_t)(__stop_explore_sites - __start_explore_sites);
}

static struct explore_site *site_at(size_t index) {
    return __start_explore_sites[index];
}

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* What every test scenario file does is no part of the explored source. */
static bool is_explored(const struct explore_site *site) {
    return strstr(site->file, "/engine/") != NULL;
}

static bool is_same_operation(const struct explore_site *left, const struct explore_site *right) {
    return strcmp(left->file, right->file) == 0 && strcmp(left->function, right->function) == 0 &&
           strcmp(left->name, right->name) == 0;
}

/* Lines above it of the same function with the same operation, whoever included them. */
static uint32_t number_of(const struct explore_site *site) {
    uint32_t lines[64];
    uint32_t count = 0;
    for (size_t i = 0; i < site_count(); i++) {
        const struct explore_site *other = site_at(i);
        if (other->line >= site->line || !is_same_operation(site, other)) continue;
        uint32_t at = 0;
        while (at < count && lines[at] != other->line)
            at++;
        if (at == count && count < 64) lines[count++] = other->line;
    }
    return count + 1;
}

static void name_of(const struct explore_site *site, char *name) {
    snprintf(name, NAME_MOST, "%s:%s:%s:%u", base_name(site->file), site->function, site->name, number_of(site));
}

static const char *const order_names[] = {"relaxed", "acquire", "release", "acq_rel", "seq_cst", "dropped"};

/* Whether `order` is one step weaker than what is written. What an order's weaker ones break it breaks as well, so one step
 * is enough: where that changes nothing, the order is more than is needed, and a reason is due. */
static bool is_one_weaker(const struct explore_site *site, enum order order) {
    bool both = site->operation == OPERATION_CAS || site->operation == OPERATION_CHANGE;
    if (site->operation == OPERATION_FENCE) return order == ORDER_NONE;
    switch (site->order) {
    case ORDER_SEQ_CST:
        if (both) return order == ORDER_ACQ_REL;
        return order == (site->operation == OPERATION_LOAD ? ORDER_ACQUIRE : ORDER_RELEASE);
    case ORDER_ACQ_REL:
        return order == ORDER_ACQUIRE || order == ORDER_RELEASE;
    case ORDER_ACQUIRE:
    case ORDER_RELEASE:
        return order == ORDER_RELAXED;
    case ORDER_RELAXED:
    case ORDER_NONE:
        break;
    }
    return false;
}

bool weaken_site(const char *text) {
    const char *equals = strchr(text, '=');
    size_t found = 0;
    if (equals == NULL) return false;
    for (size_t i = 0; i < site_count(); i++) {
        struct explore_site *site = site_at(i);
        char name[NAME_MOST];
        name_of(site, name);
        if (strlen(name) != (size_t)(equals - text) || memcmp(name, text, strlen(name)) != 0) continue;
        if (strcmp(equals + 1, "failure_relaxed") == 0 && site->operation == OPERATION_CAS) {
            site->failure = ORDER_RELAXED;
            found++;
        }
        for (uint32_t order = 0; order <= ORDER_NONE; order++) {
            if (strcmp(equals + 1, order_names[order]) != 0) continue;
            site->order = (enum order)order;
            found++;
        }
    }
    return found > 0;
}

/* Whether an earlier entry is the same line of source, included by another file. */
static bool is_repeated(size_t index) {
    const struct explore_site *site = site_at(index);
    for (size_t i = 0; i < index; i++)
        if (site_at(i)->line == site->line && is_same_operation(site_at(i), site)) return true;
    return false;
}

void weaken_print_sites(void) {
    for (size_t i = 0; i < site_count(); i++) {
        const struct explore_site *site = site_at(i);
        char name[NAME_MOST];
        if (!is_explored(site) || is_repeated(i)) continue;
        name_of(site, name);
        for (uint32_t order = 0; order <= ORDER_NONE; order++)
            if (is_one_weaker(site, (enum order)order)) printf("%s=%s\n", name, order_names[order]);
        if (site->operation == OPERATION_CAS) printf("%s=failure_relaxed\n", name);
    }
}

void weaken_print_touched(const char *scenario) {
    for (size_t i = 0; i < site_count(); i++) {
        struct explore_site *site = site_at(i);
        char name[NAME_MOST];
        if (site->hits == 0) continue;
        site->hits = 0;
        if (!is_explored(site)) continue;
        name_of(site, name);
        printf("touched %s %s\n", name, scenario);
    }
}
