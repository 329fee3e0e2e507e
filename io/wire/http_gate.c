/* A function per state, each with one byte to accept or refuse. Only in targets, header names and header values, which
 * make up most of a head, runs of plain bytes are passed over in a tight loop. */
#include "http_gate.h"

#include "block.h"
#include "text.h"

/* The longest method of any registry is 17 bytes. */
#define METHOD_BYTES      32
#define EMPTY_LINE_BYTES  4 /* two CRLF */
#define CHUNK_SIZE_DIGITS 16

void http_gate_start(struct http_gate *gate, const struct http_limits *limits, struct http_problem *problem) {
    *gate = (struct http_gate){.limits = limits, .problem = problem, .state = GATE_START};
}

void http_gate_start_chunks(struct http_gate *gate) {
    gate->token = 0;
    gate->left = 0;
    gate->state = GATE_SIZE;
}

void http_gate_start_trailers(struct http_gate *gate) {
    gate->start = gate->offset;
    gate->fields = 0;
    gate->state = GATE_LINE;
}

static bool refuse(struct http_gate *gate, unsigned status, const char *code, const char *message) {
    gate->state = GATE_BAD;
    return http_refuse(gate->problem, gate->offset, status, code, message);
}

static bool refuse_line_end(struct http_gate *gate) {
    return refuse(gate, 400, "bad_line_end", "Lines end with CR LF; neither may stand alone");
}

/* ---- Bytes -------------------------------------------------------------------------------------------------- */

/* tchar of RFC 9110 5.6.2, what methods and header names are made of: digits, letters and !#$%&'*+-.^_`|~ as a bit for
 * each byte. */
static bool is_token_byte(unsigned char byte) {
    static const uint64_t token_bytes[4] = {0x03FF6CFA00000000, 0x57FFFFFFC7FFFFFE, 0, 0};
    return token_bytes[byte / 64] >> byte % 64 & 1;
}

static bool is_target_byte(unsigned char byte) {
    return byte > ' ' && byte < 0x7F && byte != '#' && byte != '\\';
}

/* Bytes from 0x80 on are allowed: clients send ids in UTF-8. */
static bool is_value_byte(unsigned char byte) {
    return (byte >= ' ' && byte != 0x7F) || byte == '\t';
}

/* ---- Request line ------------------------------------------------------------------------------------------- */

static bool take_method(struct http_gate *gate, unsigned char byte) {
    if (byte == ' ' && gate->token > 0) {
        gate->state = GATE_TARGET_FIRST;
        return true;
    }
    if (!is_token_byte(byte))
        return refuse(gate, 400, "bad_request_line", "The request does not begin with a method");
    if (gate->token == METHOD_BYTES) return refuse(gate, 400, "bad_request_line", "The method is too long");
    gate->token++;
    gate->state = GATE_METHOD;
    return true;
}

static bool take_start(struct http_gate *gate, unsigned char byte) {
    if (byte == '\n') return refuse_line_end(gate);
    if (byte != '\r') return take_method(gate, byte);
    if (gate->start == EMPTY_LINE_BYTES)
        return refuse(gate, 400, "bad_request_line", "Too many empty lines before the request");
    gate->start++;
    gate->state = GATE_START_LF;
    return true;
}

static bool take_start_lf(struct http_gate *gate, unsigned char byte) {
    if (byte != '\n') return refuse_line_end(gate);
    gate->start++;
    gate->state = GATE_START;
    return true;
}

static bool take_target_first(struct http_gate *gate, unsigned char byte) {
    if (!is_target_byte(byte)) return refuse(gate, 400, "bad_target", "The request line names no target");
    gate->state = GATE_TARGET;
    return true;
}

/* The byte behind a run of plain ones. */
static bool take_target_end(struct http_gate *gate, unsigned char byte) {
    if (byte == '\r' || byte == '\n')
        return refuse(gate, 400, "bad_request_line", "The request line names no HTTP version");
    if (byte != ' ') return refuse(gate, 400, "bad_target", "The target holds a byte that must be percent-encoded");
    gate->token = 0;
    gate->state = GATE_VERSION;
    return true;
}

/* "HTTP/" DIGIT "." DIGIT CR. Well-formed versions that are not ours get an answer of their own (RFC 9110 15.6.6). */
static bool take_version(struct http_gate *gate, unsigned char byte) {
    static const char pattern[] = "HTTP/0.0\r";
    char expected = pattern[gate->token];
    bool fits = expected == '0' ? byte >= '0' && byte <= '9' : byte == (unsigned char)expected;
    if (!fits) {
        if (byte == '\n') return refuse_line_end(gate);
        return refuse(gate, 400, "bad_request_line", "The request line does not end with HTTP/1.1 or HTTP/1.0");
    }
    if (gate->token == 5 && byte != '1') gate->minor = UINT8_MAX;
    if (gate->token == 7 && gate->minor != UINT8_MAX) gate->minor = byte > '1' ? UINT8_MAX : (uint8_t)(byte - '0');
    gate->token++;
    if (byte != '\r') return true;

    if (gate->minor == UINT8_MAX)
        return refuse(gate, 505, "version_not_supported", "This server speaks HTTP/1.1 and HTTP/1.0");
    gate->state = GATE_REQUEST_LF;
    return true;
}

/* ---- Header and trailer lines ------------------------------------------------------------------------------- */

static bool take_line(struct http_gate *gate, unsigned char byte) {
    if (byte == '\r') {
        gate->state = GATE_END_LF;
        return true;
    }
    if (byte == '\n') return refuse_line_end(gate);
    if (byte == ' ' || byte == '\t')
        return refuse(gate, 400, "folded_header", "A header line begins with white space");
    if (byte == ':') return refuse(gate, 400, "bad_header_name", "A header line has no name");
    if (!is_token_byte(byte))
        return refuse(gate, 400, "bad_header_name", "A header name holds a byte not allowed there");
    if (gate->fields == gate->limits->header_count)
        return refuse(gate, 431, "too_many_headers", "The request has more headers than this server takes");
    gate->fields++;
    gate->state = GATE_NAME;
    return true;
}

/* The byte behind a run of plain ones. */
static bool take_name_end(struct http_gate *gate, unsigned char byte) {
    if (byte == ':') {
        gate->state = GATE_VALUE;
        return true;
    }
    if (byte == '\r' || byte == '\n') return refuse(gate, 400, "bad_header_name", "A header line has no colon");
    return refuse(gate, 400, "bad_header_name", "A header name holds a byte not allowed there");
}

/* The byte behind a run of plain ones. */
static bool take_value_end(struct http_gate *gate, unsigned char byte) {
    if (byte == '\r') {
        gate->state = GATE_VALUE_LF;
        return true;
    }
    if (byte == '\n') return refuse_line_end(gate);
    return refuse(gate, 400, "bad_header_value", "A header value holds a control byte");
}

static bool take_lf(struct http_gate *gate, unsigned char byte, enum http_gate_state next) {
    if (byte != '\n') return refuse_line_end(gate);
    gate->state = (uint8_t)next;
    return true;
}

static bool take_head_byte(struct http_gate *gate, unsigned char byte) {
    switch (gate->state) {
    case GATE_START:
        return take_start(gate, byte);
    case GATE_START_LF:
        return take_start_lf(gate, byte);
    case GATE_METHOD:
        return take_method(gate, byte);
    case GATE_TARGET_FIRST:
        return take_target_first(gate, byte);
    case GATE_TARGET:
        return take_target_end(gate, byte);
    case GATE_VERSION:
        return take_version(gate, byte);
    case GATE_REQUEST_LF:
        return take_lf(gate, byte, GATE_LINE);
    case GATE_LINE:
        return take_line(gate, byte);
    case GATE_NAME:
        return take_name_end(gate, byte);
    case GATE_VALUE:
        return take_value_end(gate, byte);
    case GATE_VALUE_LF:
        return take_lf(gate, byte, GATE_LINE);
    default:
        return take_lf(gate, byte, GATE_END);
    }
}

static bool refuse_head_size(struct http_gate *gate) {
    if (gate->state < GATE_LINE)
        return refuse(gate, 414, "target_too_long", "The request line is longer than this server takes");
    return refuse(gate, 431, "head_too_large", "The headers are larger than this server takes");
}

static size_t value_run(const char *data, size_t length) {
    size_t run = 0;
    for (; length - run >= sizeof(block); run += sizeof(block)) {
        block bytes = load_block(data + run);
        if (any((bytes < ' ') | (bytes == 0x7F))) break;
    }
    while (run < length && is_value_byte((unsigned char)data[run]))
        run++;
    return run;
}

/* Plain bytes at the start of `data`, in the states that have runs of them. */
static size_t plain_run(const struct http_gate *gate, const char *data, size_t length) {
    size_t run = 0;
    if (gate->state == GATE_VALUE) return value_run(data, length);
    if (gate->state == GATE_NAME)
        while (run < length && is_token_byte((unsigned char)data[run]))
            run++;
    if (gate->state == GATE_TARGET)
        while (run < length && is_target_byte((unsigned char)data[run]))
            run++;
    return run;
}

size_t http_gate_read_head(struct http_gate *gate, const char *data, size_t length) {
    size_t at = 0;
    while (at < length && gate->state != GATE_END) {
        uint64_t room = gate->limits->head_bytes - (gate->offset - gate->start);
        if (room == 0) {
            refuse_head_size(gate);
            break;
        }
        size_t run = plain_run(gate, data + at, length - at < room ? length - at : (size_t)room);
        if (run == 0) {
            if (!take_head_byte(gate, (unsigned char)data[at])) break;
            run = 1;
        }
        gate->offset += run;
        at += run;
    }
    return at;
}

/* ---- Chunks ------------------------------------------------------------------------------------------------- */

static bool end_size(struct http_gate *gate) {
    if (gate->left > gate->limits->body_bytes - gate->body)
        return refuse(gate, 413, "body_too_large", "The body is larger than this server takes");
    gate->body += gate->left;
    gate->state = GATE_SIZE_LF;
    return true;
}

static bool take_size(struct http_gate *gate, unsigned char byte) {
    int digit = text_hex_value((char)byte);
    if (digit >= 0 && gate->token < CHUNK_SIZE_DIGITS) {
        gate->left = gate->left << 4 | (uint64_t)digit;
        gate->token++;
        return true;
    }
    if (gate->token > 0 && byte == '\r') return end_size(gate);
    if (gate->token > 0 && byte == ';') {
        gate->state = GATE_EXTENSION;
        return true;
    }
    return refuse(gate, 400, "bad_chunk", "A chunk size is not 1 to 16 hexadecimal digits");
}

static bool take_extension(struct http_gate *gate, unsigned char byte) {
    if (byte == '\r') return end_size(gate);
    if (byte == '\n') return refuse_line_end(gate);
    if (!is_value_byte(byte) || byte >= 0x80)
        return refuse(gate, 400, "bad_chunk", "A chunk extension holds a byte not allowed there");
    if (gate->extensions == HTTP_EXTENSION_BYTES)
        return refuse(gate, 400, "chunk_extensions_too_long",
                      "The chunk extensions are longer than this server takes");
    gate->extensions++;
    return true;
}

static bool take_data_end(struct http_gate *gate, unsigned char byte) {
    if (byte != (gate->state == GATE_DATA_CR ? '\r' : '\n'))
        return refuse(gate, 400, "bad_chunk", "A chunk is not followed by CR LF");
    if (gate->state == GATE_DATA_CR)
        gate->state = GATE_DATA_LF;
    else
        http_gate_start_chunks(gate);
    return true;
}

static bool take_framing_byte(struct http_gate *gate, unsigned char byte) {
    switch (gate->state) {
    case GATE_SIZE:
        return take_size(gate, byte);
    case GATE_EXTENSION:
        return take_extension(gate, byte);
    case GATE_SIZE_LF:
        return take_lf(gate, byte, gate->left > 0 ? GATE_DATA : GATE_LAST);
    default:
        return take_data_end(gate, byte);
    }
}

bool http_gate_take_framing(struct http_gate *gate, char byte) {
    if (!take_framing_byte(gate, (unsigned char)byte)) return false;
    gate->offset++;
    return true;
}

void http_gate_pass_data(struct http_gate *gate, size_t length) {
    gate->offset += length;
    gate->left -= length;
    if (gate->left == 0) gate->state = GATE_DATA_CR;
}
