#include "poster.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#define HEAD_MAX 512u

bool poster_add(struct poster *poster, struct plan *plan, uint32_t subscribers) {
    struct publisher *publisher = poster->publisher;
    uint64_t number = publisher->sent;
    size_t wanted = poster->out_length + HEAD_MAX + plan->payload_bytes;
    if (wanted > poster->out_capacity) {
        char *larger = realloc(poster->out, wanted * 2);
        if (!larger) return false;
        poster->out = larger;
        poster->out_capacity = wanted * 2;
    }
    plan_render(plan, publisher, number);
    int head = snprintf(poster->out + poster->out_length, HEAD_MAX,
                        "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n"
                        "Content-Length: %zu\r\n\r\n",
                        poster->path, plan->payload_bytes);
    if (head < 0 || (size_t)head >= HEAD_MAX) return false;
    poster->out_length += (size_t)head;
    memcpy(poster->out + poster->out_length, publisher->payloads[number % DEPTH_MAX], plan->payload_bytes);
    poster->out_length += plan->payload_bytes;
    publisher->remaining[number % DEPTH_MAX] = subscribers;
    publisher->sent++;
    return true;
}

bool poster_flush(struct poster *poster) {
    size_t sent = 0;
    while (sent < poster->out_length) {
        ssize_t result = send(poster->descriptor, poster->out + sent, poster->out_length - sent, MSG_NOSIGNAL);
        if (result < 0 && errno == EINTR) continue;
        if (result < 0 && errno != EAGAIN) return false;
        if (result < 0) break;
        sent += (size_t)result;
    }
    memmove(poster->out, poster->out + sent, poster->out_length - sent);
    poster->out_length -= sent;
    return true;
}

/* The size of the answer at the start of the buffer; 0 when it is not all there; -1 when it is not understood. */
static ssize_t answer_size(const struct poster *poster, int *status) {
    const char *end = memmem(poster->in, poster->in_length, "\r\n\r\n", 4);
    if (!end) return poster->in_length == sizeof poster->in ? -1 : 0;
    char head[4096];
    size_t head_length = (size_t)(end - poster->in) + 4;
    if (head_length >= sizeof head) return -1;
    memcpy(head, poster->in, head_length);
    head[head_length] = '\0';
    if (sscanf(head, "HTTP/1.1 %3d", status) != 1 || strcasestr(head, "\r\ntransfer-encoding:")) return -1;
    const char *length = strcasestr(head, "\r\ncontent-length:");
    size_t body = length ? strtoul(length + 17, NULL, 10) : 0;
    size_t size = head_length + body;
    if (size > sizeof poster->in) return -1;
    return size <= poster->in_length ? (ssize_t)size : 0;
}

static bool take_answers(struct poster *poster, char *error, size_t capacity) {
    int status = 0;
    ssize_t size;
    while ((size = answer_size(poster, &status)) > 0) {
        if (status < 200 || status > 299) {
            snprintf(error, capacity, "a publish was answered %d: %.*s", status, (int)size, poster->in);
            return false;
        }
        poster->publisher->answered++;
        poster->in_length -= (size_t)size;
        memmove(poster->in, poster->in + size, poster->in_length);
    }
    if (size < 0) snprintf(error, capacity, "an answer was not understood: %.200s", poster->in);
    return size == 0;
}

bool poster_read(struct poster *poster, char *error, size_t capacity) {
    ssize_t result =
        recv(poster->descriptor, poster->in + poster->in_length, sizeof poster->in - poster->in_length, 0);
    if (result < 0 && (errno == EAGAIN || errno == EINTR)) return true;
    if (result <= 0) {
        snprintf(error, capacity, "the publishing connection ended: %s", result < 0 ? strerror(errno) : "closed");
        return false;
    }
    poster->in_length += (size_t)result;
    return take_answers(poster, error, capacity);
}
