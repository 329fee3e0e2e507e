#include "router.h"

#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>

#include "respond.h"
#include "wire/text.h"

enum access {
    ACCESS_ANYONE, /* on every listener */
    ACCESS_ADMIN   /* on the admin listener when there is one; with the token when there is one */
};

struct route {
    const char *path; /* "*" stands for a session name */
    enum http_method method;
    enum access access;
    void (*handle)(const struct route_call *call);
};

static const struct route routes[] = {
    {"/sessions/*/events", HTTP_METHOD_GET, ACCESS_ANYONE, handle_subscribe},
    {"/sessions/*/events", HTTP_METHOD_POST, ACCESS_ADMIN, handle_publish},
    {"/sessions/*", HTTP_METHOD_GET, ACCESS_ANYONE, handle_session_get},
    {"/sessions/*", HTTP_METHOD_PUT, ACCESS_ADMIN, handle_session_put},
    {"/sessions/*", HTTP_METHOD_DELETE, ACCESS_ADMIN, handle_session_delete},
    {"/health", HTTP_METHOD_GET, ACCESS_ANYONE, handle_health},
    {"/ready", HTTP_METHOD_GET, ACCESS_ANYONE, handle_ready},
    {"/metrics", HTTP_METHOD_GET, ACCESS_ADMIN, handle_metrics},
    {"/", HTTP_METHOD_GET, ACCESS_ANYONE, handle_page},
};

#define ROUTES (sizeof(routes) / sizeof(routes[0]))

static const char *const method_names[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"};

#define METHODS (sizeof(method_names) / sizeof(method_names[0]))

/* Whether the path fits the pattern; the piece behind "*" is the undecoded name. */
static bool path_fits(const char *pattern, struct span path, struct span *name) {
    const char *star = strchr(pattern, '*');
    *name = (struct span){"", 0};
    if (star == NULL) return span_equal(path, span_of(pattern));
    size_t before = (size_t)(star - pattern);
    struct span after = span_of(star + 1);
    if (path.length <= before + after.length || memcmp(path.data, pattern, before) != 0) return false;
    if (memcmp(path.data + path.length - after.length, after.data, after.length) != 0) return false;
    name->data = path.data + before;
    name->length = path.length - before - after.length;
    return memchr(name->data, '/', name->length) == NULL;
}

static bool method_fits(enum http_method route, enum http_method method) {
    return route == method || (route == HTTP_METHOD_GET && method == HTTP_METHOD_HEAD);
}

/* What a request comes to: a route with its name, or the answer that refuses it. */
struct match {
    const struct route *route;
    struct span name;
    unsigned status;
    const char *code;
    const char *message;
    unsigned allowed; /* methods that the path takes, a bit each */
};

static void refuse(struct match *match, unsigned status, const char *code, const char *message) {
    match->route = NULL;
    match->status = status;
    match->code = code;
    match->message = message;
}

static bool is_hidden(const struct route *route, const struct connection *connection) {
    return route->access == ACCESS_ADMIN && connection->reactor->shared->admin_separate &&
           connection->role != LISTENER_ADMIN;
}

static void find_route(const struct connection *connection, const struct http_request *request, struct match *match) {
    match->route = NULL;
    match->allowed = 0;
    for (size_t i = 0; i < ROUTES; i++) {
        struct span name;
        if (is_hidden(&routes[i], connection) || !path_fits(routes[i].path, request->path, &name)) continue;
        if (method_fits(routes[i].method, request->method)) {
            match->route = &routes[i];
            match->name = name;
            return;
        }
        match->allowed |= 1u << routes[i].method;
        if (routes[i].method == HTTP_METHOD_GET) match->allowed |= 1u << HTTP_METHOD_HEAD;
    }
    if (match->allowed == 0)
        refuse(match, 404, "not_found", "There is nothing at this path.");
    else
        refuse(match, 405, "method_not_allowed", "The path does not take this method; see Allow.");
}

/* Equal without telling by the time how much of it was. */
static bool token_is(const char *token, struct span authorization) {
    size_t length = strlen(token);
    static const char scheme[] = "Bearer ";
    if (authorization.length != sizeof(scheme) - 1 + length) return false;
    return strncasecmp(authorization.data, scheme, sizeof(scheme) - 1) == 0 &&
           CRYPTO_memcmp(authorization.data + sizeof(scheme) - 1, token, length) == 0;
}

/* A page of another site may send requests here from its visitor's browser, which says so in Origin. */
static bool is_foreign(const struct http_request *request) {
    if (request->origin.length == 0) return false;
    struct span origin = request->origin;
    const char *scheme_end = memchr(origin.data, '/', origin.length);
    if (scheme_end == NULL || origin.length < 8) return true; /* "null" among others */
    size_t skip = (size_t)(scheme_end - origin.data) + 2;
    if (skip > origin.length) return true;
    struct span host = {origin.data + skip, origin.length - skip};
    return host.length != request->host.length || strncasecmp(host.data, request->host.data, host.length) != 0;
}

static void check_access(const struct connection *connection, const struct http_request *request,
                         struct match *match) {
    const char *token = connection_config(connection)->token;
    if (match->route->access != ACCESS_ADMIN) return;
    if (is_foreign(request))
        refuse(match, 403, "foreign_origin", "Pages of other origins may not use this route.");
    else if (token != NULL && !token_is(token, request->authorization))
        refuse(match, 401, "token_required", "This route needs the bearer token.");
}

static void find_match(const struct connection *connection, const struct http_request *request, struct match *match) {
    memset(match, 0, sizeof(*match));
    find_route(connection, request, match);
    if (match->route != NULL) check_access(connection, request, match);
}

/* "Allow: GET, HEAD, PUT" and the line's end. */
static void write_allow(char *out, size_t size, unsigned allowed) {
    size_t length = (size_t)snprintf(out, size, "Allow: ");
    const char *separator = "";
    for (unsigned i = 0; i < METHODS; i++) {
        if (!(allowed & 1u << i)) continue;
        length += (size_t)snprintf(out + length, size - length, "%s%s", separator, method_names[i]);
        separator = ", ";
    }
    snprintf(out + length, size - length, "\r\n");
}

static void respond_refused(struct connection *connection, const struct http_request *request,
                            const struct match *match) {
    if (match->status != 405) {
        respond_error(connection, request, match->status, match->code, match->message, NULL);
        return;
    }
    char headers[96];
    char body[256];
    write_allow(headers, sizeof(headers), match->allowed);
    int length = snprintf(body, sizeof(body), "{\"error\":{\"code\":\"%s\",\"message\":\"%s\"}}\n", match->code,
                          match->message);
    struct response response = {
        .status = 405,
        .content_type = "application/json",
        .headers = headers,
        .body = {body, (size_t)length},
        .head_only = request->method == HTTP_METHOD_HEAD,
        .close = !request->keep_alive || request->has_body,
    };
    respond(connection, &response);
}

/* The body is only taken from those who may send it. */
static bool take_head(struct connection *connection, const struct http_request *request) {
    struct match match;
    find_match(connection, request, &match);
    if (match.route == NULL) {
        struct http_request closing = *request;
        closing.keep_alive = false; /* the body stays unread, so the connection cannot go on */
        respond_refused(connection, &closing, &match);
        return false;
    }
    if (request->expect_continue && !buffer_append_text(&connection->output, "HTTP/1.1 100 Continue\r\n\r\n"))
        return false;
    return true;
}

static void take_request(struct connection *connection, const struct http_request *request, struct span body) {
    struct match match;
    find_match(connection, request, &match);
    if (match.route == NULL) {
        respond_refused(connection, request, &match);
        return;
    }
    char decoded[WEIR_NAME_MAX];
    struct route_call call = {connection, request, body, {decoded, 0}};
    if (match.name.length > 0) {
        long length = http_decode(match.name, decoded, sizeof(decoded));
        call.name.length = length > 0 ? (size_t)length : 0;
        if (!text_name_valid(call.name)) {
            respond_error(connection, request, 400, "invalid_name",
                          "A session name has 1 to 64 characters of 0-9 A-Z a-z . _ ~ -", NULL);
            return;
        }
    }
    match.route->handle(&call);
}

static void answer_refused(struct connection *connection, unsigned status, const char *code, const char *message) {
    respond_error(connection, NULL, status, code, message, NULL);
}

const struct exchange router_exchange = {take_head, take_request, answer_refused};
