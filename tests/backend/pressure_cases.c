/* Scarcity: few buffers, short queues, many operations, long runs. Nothing is lost, doubled or leaked. */
#include "backend/cases.h"
#include "backend/fixture.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>

enum { CONNECTIONS = 64, FEW_BUFFERS = 4 };

static int setup_few_buffers(void **state) {
    const struct io_backend_config config = {
        .queue_entries = 64, .receive_buffers = FEW_BUFFERS, .receive_size = 512};
    *state = fixture_create(&config);
    return 0;
}

static int setup_tiny_queue(void **state) {
    const struct io_backend_config config = {.queue_entries = 2, .receive_buffers = 16, .receive_size = 512};
    *state = fixture_create(&config);
    return 0;
}

struct crowd {
    struct peer peers[CONNECTIONS];
    int descriptors[CONNECTIONS];
    uint64_t tokens[CONNECTIONS];
};

static void start_crowd(struct fixture *fixture, struct crowd *crowd) {
    for (int i = 0; i < CONNECTIONS; i++) {
        crowd->peers[i] = peer_pair(fixture, &crowd->descriptors[i]);
        crowd->tokens[i] = start_receive(fixture, crowd->descriptors[i]);
    }
}

static void end_crowd(struct fixture *fixture, struct crowd *crowd) {
    for (int i = 0; i < CONNECTIONS; i++) {
        fixture->io->close(fixture->backend, crowd->descriptors[i]);
        peer_close(&crowd->peers[i]);
    }
}

/* Returns one whose receive has completed and still holds its buffer, or -1. */
static int find_holder(const struct fixture *fixture, const struct crowd *crowd) {
    for (int i = 0; i < CONNECTIONS; i++) {
        if (fixture->outcomes[crowd->tokens[i]].data != NULL) return i;
    }
    return -1;
}

/* U07. The owner keeps every buffer as long as it can: the pool is empty all the time. */
static void with_an_empty_pool_receives_wait_for_a_buffer(void **state) {
    struct fixture *fixture = *state;
    static struct crowd crowd;
    start_crowd(fixture, &crowd);
    for (int i = 0; i < CONNECTIONS; i++) {
        char byte = (char)i;
        peer_feed(&crowd.peers[i], &byte, 1);
    }
    await_count(fixture, FEW_BUFFERS);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(take_completions(fixture, 1000000, 64), 0);
    }
    for (int taken = 0; taken < CONNECTIONS; taken++) {
        int holder = find_holder(fixture, &crowd);
        assert_true(holder >= 0);
        char byte = 0;
        assert_int_equal(take_bytes(fixture, crowd.tokens[holder], &byte, 1), 1);
        assert_int_equal(byte, (char)holder);
        unsigned expected = FEW_BUFFERS + (unsigned)taken + 1;
        await_count(fixture, expected < CONNECTIONS ? expected : CONNECTIONS);
    }
    end_crowd(fixture, &crowd);
}

/* A buffer that comes free must not be kept back for an idle connection while bytes are there for another. The wait
 * has no timeout, so that a backend which sleeps over it is found out. */
static void idle_receives_that_found_no_buffer_do_not_stand_in_the_way(void **state) {
    struct fixture *fixture = *state;
    static struct crowd first;
    static struct crowd idle;
    char byte = 0;
    start_crowd(fixture, &idle);
    for (int i = 0; i < CONNECTIONS; i++) {
        take_completions(fixture, 0, 64);
        peer_feed(&idle.peers[i], "i", 1);
        await(fixture, idle.tokens[i]);
        take_bytes(fixture, idle.tokens[i], &byte, 1);
    }
    start_crowd(fixture, &first);
    for (int i = 0; i < FEW_BUFFERS; i++) {
        peer_feed(&first.peers[i], "x", 1);
    }
    await_count(fixture, CONNECTIONS + FEW_BUFFERS);
    /* These start while no buffer is free, and only the last of them gets bytes. */
    for (int i = 0; i < CONNECTIONS; i++) {
        idle.tokens[i] = start_receive(fixture, idle.descriptors[i]);
    }
    uint64_t last = idle.tokens[CONNECTIONS - 1];
    take_completions(fixture, 0, 64);
    peer_feed(&idle.peers[CONNECTIONS - 1], "y", 1);
    assert_stays_started(fixture, last);
    take_bytes(fixture, first.tokens[0], &byte, 1);
    while (!fixture->outcomes[last].completed) {
        take_completions(fixture, IO_WAIT_FOREVER, 64);
    }
    take_bytes(fixture, last, &byte, 1);
    assert_int_equal(byte, 'y');
    for (int i = 1; i < FEW_BUFFERS; i++) {
        take_bytes(fixture, first.tokens[i], &byte, 1);
    }
    for (int i = 0; i < CONNECTIONS; i++) {
        fixture->io->cancel(fixture->backend, first.tokens[i]);
        fixture->io->cancel(fixture->backend, idle.tokens[i]);
    }
    await_count(fixture, 3 * CONNECTIONS);
    end_crowd(fixture, &first);
    end_crowd(fixture, &idle);
}

static void a_receive_that_waits_for_a_buffer_can_be_cancelled(void **state) {
    struct fixture *fixture = *state;
    static struct crowd crowd;
    start_crowd(fixture, &crowd);
    for (int i = 0; i < CONNECTIONS; i++) {
        peer_feed(&crowd.peers[i], "x", 1);
    }
    await_count(fixture, FEW_BUFFERS);
    take_completions(fixture, 0, 64);
    for (int i = 0; i < CONNECTIONS; i++) {
        fixture->io->cancel(fixture->backend, crowd.tokens[i]);
    }
    await_count(fixture, CONNECTIONS);
    unsigned cancelled = 0;
    for (int i = 0; i < CONNECTIONS; i++) {
        char byte;
        if (fixture->outcomes[crowd.tokens[i]].data != NULL) take_bytes(fixture, crowd.tokens[i], &byte, 1);
        cancelled += fixture->outcomes[crowd.tokens[i]].result == -ECANCELED;
    }
    assert_int_equal(cancelled, CONNECTIONS - FEW_BUFFERS);
    /* The bytes are still there. */
    for (int i = 0; i < CONNECTIONS; i++) {
        char byte = 0;
        if (fixture->outcomes[crowd.tokens[i]].result < 0) {
            receive_exactly(fixture, crowd.descriptors[i], &byte, 1);
            assert_int_equal(byte, 'x');
        }
    }
    end_crowd(fixture, &crowd);
}

/* The most pairs of descriptors that may be opened here, at most `wanted`. */
static unsigned allowed_pairs(unsigned wanted) {
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return limit.rlim_cur > 2 * wanted + 100 ? wanted : (unsigned)(limit.rlim_cur - 100) / 2;
}

/* Takes what has come so far: each connection was fed its own number. Returns how many receives have completed. */
static unsigned take_numbers(struct fixture *fixture, const uint64_t *tokens, unsigned count) {
    unsigned completed = 0;
    for (unsigned i = 0; i < count; i++) {
        const struct outcome *outcome = &fixture->outcomes[tokens[i]];
        unsigned received = 0;
        completed += outcome->completed;
        if (outcome->data == NULL) continue;
        assert_int_equal(take_bytes(fixture, tokens[i], (char *)&received, sizeof received), sizeof received);
        assert_int_equal(received, i);
    }
    return completed;
}

/* U11, U13: twice as many operations as pairs start before the first wait; queues hold 64 and 256. */
static void more_operations_start_than_the_queue_holds(void **state) {
    struct fixture *fixture = *state;
    unsigned count = allowed_pairs(2500);
    struct peer *peers = calloc(count, sizeof *peers);
    int *descriptors = calloc(count, sizeof *descriptors);
    uint64_t *tokens = calloc(count, sizeof *tokens);
    assert_true(peers != NULL && descriptors != NULL && tokens != NULL);
    for (unsigned i = 0; i < count; i++) {
        peers[i] = peer_pair(fixture, &descriptors[i]);
    }
    for (unsigned i = 0; i < count; i++) {
        tokens[i] = start_receive(fixture, descriptors[i]);
        start_send(fixture, descriptors[i], "ping", 4);
    }
    await_count(fixture, count);
    for (unsigned i = 0; i < count; i++) {
        char text[4];
        peer_read_exactly(fixture, &peers[i], text, 4);
        assert_memory_equal(text, "ping", 4);
        peer_feed(&peers[i], &i, sizeof i);
    }
    while (take_numbers(fixture, tokens, count) < count) {
        take_completions(fixture, 1000000, 64);
    }
    assert_int_equal(fixture->completed, 2 * count);
    for (unsigned i = 0; i < count; i++) {
        fixture->io->close(fixture->backend, descriptors[i]);
        peer_close(&peers[i]);
    }
    free(peers);
    free(descriptors);
    free(tokens);
}

/* U09, U11: what watches for wakes may end when completions overflow; it has to start again. */
static void wakes_come_through_after_completions_overflowed(void **state) {
    struct fixture *fixture = *state;
    static struct crowd crowd;
    for (int i = 0; i < CONNECTIONS; i++) {
        crowd.peers[i] = peer_pair(fixture, &crowd.descriptors[i]);
    }
    for (unsigned round = 1; round <= 3; round++) {
        for (int i = 0; i < CONNECTIONS; i++) {
            start_send(fixture, crowd.descriptors[i], "x", 1);
        }
        while (fixture->completed < round * CONNECTIONS) {
            fixture->io->wake(fixture->backend);
            take_completions(fixture, 0, 1);
        }
        for (int i = 0; i < 5; i++) {
            fixture->io->wake(fixture->backend);
            take_completions(fixture, IO_WAIT_FOREVER, 64);
        }
    }
    end_crowd(fixture, &crowd);
}

/* ---- A long mixed run ---- */

static uint64_t next_random(uint64_t *state) {
    uint64_t value = *state += UINT64_C(0x9E3779B97F4A7C15);
    value = (value ^ (value >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    return value ^ (value >> 27);
}

struct stream {
    struct peer peer;
    int descriptor;
    uint64_t send_token;
    uint64_t receive_token;
    bool sending;
    bool receiving;
    uint8_t next_sent; /* bytes count up, so that each one's place is known */
    uint8_t next_read;
    uint8_t next_fed;
    uint8_t next_received;
    char bytes[700];
};

static void collect_stream(struct fixture *fixture, struct stream *stream) {
    const struct outcome *sent = &fixture->outcomes[stream->send_token];
    if (stream->sending && sent->completed) {
        stream->sending = false;
        if (sent->result > 0) stream->next_sent = (uint8_t)(stream->next_sent + sent->result);
        assert_true(sent->result > 0 || sent->result == -ECANCELED);
    }
    const struct outcome *received = &fixture->outcomes[stream->receive_token];
    if (!stream->receiving || !received->completed) return;
    stream->receiving = false;
    assert_true(received->result > 0 || received->result == -ECANCELED);
    char bytes[4096];
    size_t size = received->result > 0 ? take_bytes(fixture, stream->receive_token, bytes, sizeof bytes) : 0;
    for (size_t i = 0; i < size; i++) {
        assert_int_equal((uint8_t)bytes[i], stream->next_received++);
    }
}

static void read_stream(struct stream *stream, size_t most) {
    char bytes[512];
    size_t count = peer_read(&stream->peer, bytes, most);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal((uint8_t)bytes[i], stream->next_read++);
    }
}

static void play_stream(struct fixture *fixture, struct stream *stream, uint64_t *random) {
    uint64_t choice = next_random(random);
    size_t length = 1 + (choice >> 8) % (sizeof stream->bytes - 1);
    if (!stream->sending && choice % 3 == 0) {
        for (size_t i = 0; i < length; i++) {
            stream->bytes[i] = (char)(uint8_t)(stream->next_sent + i);
        }
        stream->send_token = start_send(fixture, stream->descriptor, stream->bytes, length);
        stream->sending = true;
    }
    if (!stream->receiving && choice % 5 != 0) {
        stream->receive_token = start_receive(fixture, stream->descriptor);
        stream->receiving = true;
    }
    if (choice % 7 == 0) {
        char fed[64];
        size_t count = 1 + (choice >> 20) % sizeof fed;
        for (size_t i = 0; i < count; i++) {
            fed[i] = (char)stream->next_fed++;
        }
        peer_feed(&stream->peer, fed, count);
    }
    if (choice % 11 == 0 && stream->receiving) fixture->io->cancel(fixture->backend, stream->receive_token);
    if (choice % 13 == 0 && stream->sending) fixture->io->cancel(fixture->backend, stream->send_token);
    if (choice % 2 == 0) read_stream(stream, 1 + (choice >> 30) % 512);
}

static void cancel_stream(struct fixture *fixture, const struct stream *stream) {
    if (stream->sending) fixture->io->cancel(fixture->backend, stream->send_token);
    if (stream->receiving) fixture->io->cancel(fixture->backend, stream->receive_token);
}

/* With nothing started any more: what lies in the socket buffers. */
static void settle_stream(struct fixture *fixture, struct stream *stream) {
    while (stream->next_received != stream->next_fed) {
        stream->receive_token = start_receive(fixture, stream->descriptor);
        stream->receiving = true;
        await(fixture, stream->receive_token);
        collect_stream(fixture, stream);
    }
    while (stream->next_read != stream->next_sent) {
        read_stream(stream, 512);
    }
}

static void mix(struct fixture *fixture, int rounds, uint64_t seed) {
    enum { STREAMS = 24 };
    static struct stream streams[STREAMS];
    for (int i = 0; i < STREAMS; i++) {
        streams[i] = (struct stream){.sending = false};
        streams[i].peer = peer_pair(fixture, &streams[i].descriptor);
    }
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < STREAMS; i++) {
            play_stream(fixture, &streams[i], &seed);
        }
        take_completions(fixture, round % 8 == 0 ? 100000 : 0, round % 3 == 0 ? 5 : 64);
        for (int i = 0; i < STREAMS; i++) {
            collect_stream(fixture, &streams[i]);
        }
    }
    for (int i = 0; i < STREAMS; i++) {
        cancel_stream(fixture, &streams[i]);
    }
    while (fixture->completed < fixture->next_token) {
        take_completions(fixture, 1000000, 64);
        for (int i = 0; i < STREAMS; i++) {
            collect_stream(fixture, &streams[i]); /* which gives the buffers back that others wait for */
        }
    }
    for (int i = 0; i < STREAMS; i++) {
        settle_stream(fixture, &streams[i]);
        fixture->io->close(fixture->backend, streams[i].descriptor);
        peer_close(&streams[i].peer);
    }
    assert_int_equal(fixture->completed, fixture->next_token);
}

static void a_mixed_run_loses_and_doubles_nothing(void **state) {
    mix(*state, 3000, 42);
}

/* U03, U18, U24: the same with every fault that the simulated backend knows and a connection survives. */
static void a_mixed_run_survives_short_late_and_reordered_completions(void **state) {
    struct fixture *fixture = *state;
    if (!fixture->simulated) return;
    const struct simulated_faults faults = {.short_send = 30,
                                            .split_receive = 30,
                                            .late_completion = 30,
                                            .reorder = true,
                                            .cancel = SIMULATED_CANCEL_ANY_ORDER};
    simulated_set_faults(fixture->backend, &faults);
    mix(fixture, 3000, 7);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HEAP_IS_OURS false
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HEAP_IS_OURS false
#else
#define HEAP_IS_OURS true
#endif
#else
#define HEAP_IS_OURS true
#endif

static size_t heap_in_use(void) {
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

/* One turn per kind of operation, and a connection that comes and goes. */
static void use_everything_once(struct fixture *fixture) {
    struct peer peer = peer_connect(fixture);
    int descriptor = accept_peer(fixture);
    char text[4];
    await(fixture, start_send(fixture, descriptor, "ping", 4));
    peer_read_exactly(fixture, &peer, text, 4);
    peer_feed(&peer, "pong", 4);
    receive_exactly(fixture, descriptor, text, 4);
    uint64_t token = start_receive(fixture, descriptor);
    fixture->io->cancel(fixture->backend, token);
    await(fixture, token);
    fixture->io->close(fixture->backend, descriptor);
    peer_close(&peer);
}

static void a_long_run_needs_no_more_memory_than_a_short_one(void **state) {
    struct fixture *fixture = *state;
    for (int i = 0; i < 50; i++) {
        use_everything_once(fixture);
    }
    unsigned descriptors = count_descriptors();
    size_t before = heap_in_use();
    for (int i = 0; i < 1000; i++) {
        use_everything_once(fixture);
    }
    size_t after = heap_in_use();
    assert_int_equal(count_descriptors(), descriptors);
    bool keeps_peers = fixture->simulated; /* until the end, for the test to look at */
    if (HEAP_IS_OURS && !keeps_peers) assert_int_equal(after, before);
}

#define CASE(name, setup) cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)

int run_pressure_cases(void) {
    const struct CMUnitTest pressure_cases[] = {
        CASE(with_an_empty_pool_receives_wait_for_a_buffer, setup_few_buffers),
        CASE(idle_receives_that_found_no_buffer_do_not_stand_in_the_way, setup_few_buffers),
        CASE(a_receive_that_waits_for_a_buffer_can_be_cancelled, setup_few_buffers),
        CASE(more_operations_start_than_the_queue_holds, fixture_setup),
        CASE(more_operations_start_than_the_queue_holds, setup_tiny_queue),
        CASE(wakes_come_through_after_completions_overflowed, setup_tiny_queue),
        CASE(a_mixed_run_loses_and_doubles_nothing, fixture_setup),
        CASE(a_mixed_run_loses_and_doubles_nothing, setup_tiny_queue),
        CASE(a_mixed_run_loses_and_doubles_nothing, setup_few_buffers),
        CASE(a_mixed_run_survives_short_late_and_reordered_completions, fixture_setup),
        CASE(a_long_run_needs_no_more_memory_than_a_short_one, fixture_setup),
    };
    return cmocka_run_group_tests(pressure_cases, NULL, NULL);
}
