/* What the size of the payload adds: one producer, a ring of 256, as in publish.c, beside the same loop around nothing but
 * a memcpy of the same bytes into 256 places.
 *
 * Measured: weir_publish, copy included. The payloads are four, made before, and warm: what is read comes from the nearer
 * caches, what is written goes through the whole ring, which with 64 KiB events is 16 MiB of bytes and leaves them.
 * `mixed`: lengths from 16 to 112 bytes at random, with which no processor can foresee how far a copy goes.
 * Not measured: making the payload, reading it. Checked: the whole ring is read back and compared, byte by byte. */
#include "cores.h"
#include "subject.h"

#include <stdlib.h>

#define PAYLOADS 4u

/* Mixed lengths, all in one cell's class. */
#define SHORTEST_MIXED 16u
#define LONGEST_MIXED  112u

struct sized {
    size_t size; /* 0: mixed */
    size_t room; /* of one place: as weir's cells, a power of two */
    unsigned char *payloads;
    unsigned char *places; /* of the bare copy */
};

static const void *sized_payload(const struct sized *sized, uint64_t number) {
    return sized->payloads + number % PAYLOADS * sized->room;
}

/* Mixed lengths are computed from the number: a table of thousands, gone through again and again, is learned by heart by
 * the processor's branch prediction. */
static size_t sized_length(const struct sized *sized, uint64_t number) {
    if (sized->size > 0) return sized->size;
    uint64_t mixed = (number + 1) * UINT64_C(0x9e3779b97f4a7c15);
    mixed = (mixed ^ mixed >> 32) * UINT64_C(0xd6e8feb86659fd93);
    return SHORTEST_MIXED + ((mixed >> 32) * (LONGEST_MIXED - SHORTEST_MIXED + 1) >> 32);
}

static bool open_sized(struct sized *sized, size_t size, struct bench_result *result) {
    *sized = (struct sized){.size = size, .room = 128};
    while (sized->room < size) {
        sized->room *= 2;
    }
    sized->payloads = aligned_alloc(4096, (PAYLOADS * sized->room + 4095) / 4096 * 4096);
    if (!sized->payloads) {
        bench_fail(result, "out of memory");
        return false;
    }
    uint64_t random = size;
    for (size_t i = 0; i < PAYLOADS * sized->room; i++) {
        random = random * UINT64_C(0x5851f42d4c957f2d) + 1;
        sized->payloads[i] = (unsigned char)(random >> 56);
    }
    return true;
}

static void close_sized(struct sized *sized) {
    free(sized->payloads);
    free(sized->places);
}

/* ---- weir ---------------------------------------------------------------------------------------------------- */

static void check_ring(const struct subject *subject, const struct sized *sized, uint64_t events,
                       struct bench_result *result) {
    unsigned char *bytes = malloc(sized->room);
    weir_cursor cursor;
    weir_event event;
    weir_gap gap;
    if (!bytes) bench_fail(result, "out of memory");
    if (bytes && expect_ok(weir_subscribe(subject->session, NULL, &cursor, &gap), "weir_subscribe", result)) {
        for (uint64_t number = events - RING_CAPACITY; number < events; number++) {
            int status = weir_read(subject->session, &cursor, bytes, sized->room, &event, &gap);
            if (!expect_ok(status, "weir_read", result)) break;
            if (event.sequence != subject->first_sequence + number || event.length != sized_length(sized, number) ||
                memcmp(bytes, sized_payload(sized, number), event.length) != 0)
                bench_fail(result, "event %llu is not what was published", (unsigned long long)number);
        }
        weir_unsubscribe(subject->session, &cursor);
    }
    free(bytes);
}

static bool publish_sized(const struct subject *subject, weir_producer *producer, const struct sized *sized,
                          uint64_t first, uint64_t events, struct bench_result *result) {
    int status = WEIR_OK;
    for (uint64_t i = first; i < first + events && status == WEIR_OK; i++) {
        status = weir_publish(producer, subject->session, 0, sized_payload(sized, i), sized_length(sized, i), NULL);
    }
    return expect_ok(status, "weir_publish", result);
}

/* The ring is filled once and a little over before the clock starts: the first round is the system giving memory. */
static void time_publish(const struct subject *subject, weir_producer *producer, const struct sized *sized,
                         uint64_t events, struct bench_result *result) {
    const uint64_t warm_up = RING_CAPACITY + 64;
    pin_to_first_core();
    if (!publish_sized(subject, producer, sized, 0, warm_up, result)) return;
    uint64_t begin_ns = now_ns();
    if (!publish_sized(subject, producer, sized, warm_up, events, result)) return;
    result->event_ns = (double)(now_ns() - begin_ns) / (double)events;
    check_ring(subject, sized, warm_up + events, result);
}

static void measure_publish(uint64_t events, size_t size, struct bench_result *result) {
    struct subject subject = {0};
    struct sized sized;
    weir_producer *producer = NULL;
    weir_config config = WEIR_CONFIG_INIT;
    config.max_session_bytes = 64u << 20; /* the ring is to hold 256 of the largest, too */
    if (open_sized(&sized, size, result) && subject_open(&subject, &config, result) &&
        expect_ok(weir_producer_create(subject.engine, &producer), "weir_producer_create", result))
        time_publish(&subject, producer, &sized, events, result);
    weir_producer_destroy(producer);
    subject_close(&subject);
    close_sized(&sized);
}

static void measure_publish_mixed(uint64_t events, struct bench_result *result) {
    measure_publish(events, 0, result);
}
static void measure_publish_16(uint64_t events, struct bench_result *result) {
    measure_publish(events, 16, result);
}
static void measure_publish_1024(uint64_t events, struct bench_result *result) {
    measure_publish(events, 1024, result);
}
static void measure_publish_65536(uint64_t events, struct bench_result *result) {
    measure_publish(events, 65536, result);
}

/* ---- memcpy -------------------------------------------------------------------------------------------------- */

/* `size` comes from a constant as well, but through a call: the copy is one of a length that is not known beforehand. */
static __attribute__((noinline)) void copy_all(const struct sized *sized, uint64_t events) {
    for (uint64_t i = 0; i < events; i++) {
        unsigned char *place = sized->places + i % RING_CAPACITY * sized->room;
        memcpy(place, sized_payload(sized, i), sized_length(sized, i));
        __asm__ volatile("" : : "r"(place) : "memory");
    }
}

static void measure_copy(uint64_t events, size_t size, struct bench_result *result) {
    struct sized sized;
    if (open_sized(&sized, size, result)) {
        sized.places = aligned_alloc(4096, RING_CAPACITY * sized.room);
        if (!sized.places) bench_fail(result, "out of memory");
    }
    if (sized.places) {
        pin_to_first_core();
        memset(sized.places, 0, RING_CAPACITY * sized.room); /* the system gives the pages before the clock starts */
        uint64_t begin_ns = now_ns();
        copy_all(&sized, events);
        result->event_ns = (double)(now_ns() - begin_ns) / (double)events;
        for (uint64_t i = events < RING_CAPACITY ? 0 : events - RING_CAPACITY; i < events; i++) {
            if (memcmp(sized.places + i % RING_CAPACITY * sized.room, sized_payload(&sized, i),
                       sized_length(&sized, i)) != 0)
                bench_fail(result, "copy %llu is wrong", (unsigned long long)i);
        }
    }
    close_sized(&sized);
}

static void measure_copy_mixed(uint64_t events, struct bench_result *result) {
    measure_copy(events, 0, result);
}
static void measure_copy_16(uint64_t events, struct bench_result *result) {
    measure_copy(events, 16, result);
}
static void measure_copy_1024(uint64_t events, struct bench_result *result) {
    measure_copy(events, 1024, result);
}
static void measure_copy_65536(uint64_t events, struct bench_result *result) {
    measure_copy(events, 65536, result);
}

const struct bench_case bench_publish_size_cases[] = {
    {"bare_copy_mixed_bytes_ns", 20000000, measure_copy_mixed},
    {"bare_copy_16_bytes_ns", 20000000, measure_copy_16},
    {"bare_copy_1024_bytes_ns", 5000000, measure_copy_1024},
    {"bare_copy_65536_bytes_ns", 40000, measure_copy_65536},
    {"publish_1p_mixed_bytes_ns", 10000000, measure_publish_mixed},
    {"publish_1p_16_bytes_ns", 10000000, measure_publish_16},
    {"publish_1p_1024_bytes_ns", 5000000, measure_publish_1024},
    {"publish_1p_65536_bytes_ns", 40000, measure_publish_65536},
    {NULL, 0, NULL},
};
