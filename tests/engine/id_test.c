/* Wire ids (design 4): one spelling each, and everything else is told to be none. */
#include "session/id.h"

#include <weir.h>

#include "prelude.h"

static const uint64_t epochs[] = {0, 1, 63, 64, 0x0123456789ABCDEFu, UINT64_MAX - 1, UINT64_MAX};
static const uint64_t sequences[] = {0, 1, 9, 10, 12345678901234567u, UINT64_MAX / 2, 9999999999999999999u};

static void every_id_comes_back_as_it_was_written(void **state) {
    (void)state;
    for (size_t e = 0; e < sizeof(epochs) / sizeof(epochs[0]); e++)
        for (size_t s = 0; s < sizeof(sequences) / sizeof(sequences[0]); s++) {
            char id[WEIR_ID_MAX];
            uint64_t epoch = 1;
            uint64_t sequence = 1;
            size_t length = weir_id_format(epochs[e], sequences[s], id);
            assert_true(length <= 32);
            assert_true(id_parse(id, length, &epoch, &sequence));
            assert_int_equal(epoch, epochs[e]);
            assert_int_equal(sequence, sequences[s]);
        }
}

static void an_id_has_only_bytes_that_every_client_sends_back(void **state) {
    (void)state;
    for (uint64_t epoch = 1; epoch != 0; epoch = epoch << 5 | epoch >> 62) {
        char id[WEIR_ID_MAX];
        size_t length = weir_id_format(epoch, epoch, id);
        for (size_t i = 0; i < length; i++)
            assert_non_null(strchr("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz._~-", id[i]));
        if (epoch >> 58) break;
    }
}

static void the_epoch_alone_is_the_front_of_the_id(void **state) {
    (void)state;
    char id[WEIR_ID_MAX];
    char epoch[WEIR_ID_MAX];
    for (size_t e = 0; e < sizeof(epochs) / sizeof(epochs[0]); e++) {
        weir_id_format(epochs[e], 7, id);
        assert_int_equal(weir_epoch_format(epochs[e], epoch), 11);
        assert_memory_equal(id, epoch, 11);
        assert_int_equal(id[11], '.');
    }
}

static void what_is_not_an_id_is_refused(void **state) {
    (void)state;
    static const char *const malformed[] = {
        "",
        ".",
        "1",
        "0",
        "42",
        "-1",
        "00000000000",
        "00000000000.",
        "0000000000.1",
        "000000000000.1",
        "00000000000:1",
        "00000000000.01",
        "00000000000.00",
        "00000000000.-1",
        "00000000000.+1",
        "00000000000. 1",
        "00000000000.1 ",
        " 00000000000.1",
        "00000000000.1a",
        "00000000000.1.1",
        "00000000000.0x1",
        "00000000000.18446744073709551615",
        "00000000000.18446744073709551616",
        "00000000000.99999999999999999999999999",
        "0000000000!.1",
        "0000000000~.1",
        "G0000000000.1", /* beyond 64 bits */
        "__________-.1",
        "0000000000\xC3\xA9.1",
        "00000000000.1\n",
        "00000000000.\xD9\xA1",
    };
    for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
        uint64_t epoch;
        uint64_t sequence;
        if (id_parse(malformed[i], strlen(malformed[i]), &epoch, &sequence)) fail_msg("taken: %s", malformed[i]);
    }
}

static void an_id_with_a_nul_inside_or_of_any_over_long_length_is_refused(void **state) {
    (void)state;
    char id[200];
    uint64_t epoch;
    uint64_t sequence;
    size_t length = weir_id_format(12345, 678, id);
    for (size_t i = 0; i < length; i++) {
        char kept = id[i];
        id[i] = '\0';
        assert_false(id_parse(id, length, &epoch, &sequence));
        id[i] = kept;
    }
    memset(id + length, '1', sizeof(id) - length);
    for (size_t longer = 32; longer <= sizeof(id); longer++)
        assert_false(id_parse(id, longer, &epoch, &sequence));
}

/* One spelling: whatever is taken is what would be written. */
static void what_is_taken_is_exactly_what_is_written(void **state) {
    (void)state;
    char id[WEIR_ID_MAX];
    char again[WEIR_ID_MAX];
    uint64_t epoch;
    uint64_t sequence;
    size_t length = weir_id_format(0x0123456789ABCDEFu, 90210, id);
    for (size_t at = 0; at < length; at++)
        for (int byte = 0; byte < 256; byte++) {
            char kept = id[at];
            id[at] = (char)byte;
            if (id_parse(id, length, &epoch, &sequence)) {
                assert_int_equal(weir_id_format(epoch, sequence, again), length);
                assert_memory_equal(again, id, length);
            }
            id[at] = kept;
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_id_comes_back_as_it_was_written),
        cmocka_unit_test(an_id_has_only_bytes_that_every_client_sends_back),
        cmocka_unit_test(the_epoch_alone_is_the_front_of_the_id),
        cmocka_unit_test(what_is_not_an_id_is_refused),
        cmocka_unit_test(an_id_with_a_nul_inside_or_of_any_over_long_length_is_refused),
        cmocka_unit_test(what_is_taken_is_exactly_what_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
