// A provider for measurements: answers OpenAI's Chat Completions, Anthropic's Messages and Gemini's API from one thread.
//
//     upstream PORT
//
// The prompt says how to answer: "upstream-delay-ms=50" waits first, and a streamed answer has "upstream-events=100"
// events, "upstream-interval-us=20000" apart. Without them an answer is immediate, of 50 events. Each text begins with
// T and two 16-digit hexadecimal times in nanoseconds (CLOCK_MONOTONIC): when the request had arrived, and when this
// text was sent. A load generator on the same machine subtracts the time spent here. GET /stats counts what was served.
// Listens on 127.0.0.1 only.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { READ_BYTES = 16384, MOST_HEAD_BYTES = 65536, DEFAULT_EVENTS = 50, OUTPUT_TOKENS = 96, INPUT_TOKENS = 210 };

typedef enum { OPENAI, ANTHROPIC, GEMINI } Dialect;

typedef struct Connection {
    int fd;
    char *in;  // what has arrived and is not yet a whole request
    size_t in_length, in_capacity;
    char *out;  // what waits to be sent
    size_t out_length, out_sent, out_capacity;
    bool answering, streaming, close_after, waits_to_write, reports_usage;
    Dialect dialect;
    int events, events_sent, number;
    uint64_t received_at, interval, due;
    size_t heap_place;  // 1-based place in the queue of what is due; 0: not in it
} Connection;

static int epoll;
static uint64_t requests, streams, aborted, events_sent;
static int connections;
static Connection **heap;  // by `due`, the earliest at 1
static size_t heap_size, heap_capacity;

static const char *LOREM =
    "The quick brown fox jumps over the lazy dog while routers choose a model for every request and keep a careful "
    "ledger of tokens, cost and latency. The quick brown fox jumps over the lazy dog while routers choose a model for "
    "every request and keep a careful ledger of tokens, cost and latency. The quick brown fox jumps over the lazy dog "
    "while routers choose a model for every request and keep a careful ledger of tokens, cost and latency. ";

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000ull + time.tv_nsec;
}

// ── The queue of connections whose next text is due ────────────────────────────────────────────────────────────

static void place(Connection *connection, size_t at) {
    heap[at] = connection;
    connection->heap_place = at;
}

static void sift(Connection *connection, size_t at) {
    while (at > 1 && heap[at / 2]->due > connection->due) {
        place(heap[at / 2], at);
        at /= 2;
    }
    for (size_t child; (child = 2 * at) <= heap_size; at = child) {
        if (child < heap_size && heap[child + 1]->due < heap[child]->due) child++;
        if (heap[child]->due >= connection->due) break;
        place(heap[child], at);
    }
    place(connection, at);
}

static void wait_until(Connection *connection, uint64_t due) {
    if (heap_size + 2 > heap_capacity) {
        heap_capacity = heap_capacity * 2 + 1024;
        heap = realloc(heap, heap_capacity * sizeof *heap);
    }
    connection->due = due;
    sift(connection, ++heap_size);
}

static void wait_no_longer(Connection *connection) {
    size_t at = connection->heap_place;
    if (!at) return;
    connection->heap_place = 0;
    Connection *last = heap[heap_size--];
    if (last != connection) sift(last, at);
}

// ── Sending ────────────────────────────────────────────────────────────────────────────────────────────────────

static void put(Connection *connection, const char *bytes, size_t length) {
    if (connection->out_length + length > connection->out_capacity) {
        connection->out_capacity = (connection->out_length + length) * 2 + 4096;
        connection->out = realloc(connection->out, connection->out_capacity);
    }
    memcpy(connection->out + connection->out_length, bytes, length);
    connection->out_length += length;
}

static void watch(Connection *connection, bool writing) {
    struct epoll_event event = {EPOLLIN | EPOLLRDHUP | (writing ? EPOLLOUT : 0), {.ptr = connection}};
    epoll_ctl(epoll, EPOLL_CTL_MOD, connection->fd, &event);
    connection->waits_to_write = writing;
}

// False when the connection has to be closed; so do all functions below.
static bool flush(Connection *connection) {
    while (connection->out_sent < connection->out_length) {
        ssize_t sent = send(connection->fd, connection->out + connection->out_sent,
                            connection->out_length - connection->out_sent, MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno != EAGAIN) return false;
            if (!connection->waits_to_write) watch(connection, true);
            return true;
        }
        connection->out_sent += sent;
    }
    connection->out_length = connection->out_sent = 0;
    if (connection->waits_to_write) watch(connection, false);
    return true;
}

static bool answer_next(Connection *connection);

static bool finish(Connection *connection) {
    connection->answering = connection->streaming = false;
    if (!flush(connection)) return false;
    if (connection->close_after && connection->out_length == 0) return false;
    return answer_next(connection);
}

static void put_whole(Connection *connection, const char *body) {
    char head[256];
    int length = snprintf(head, sizeof head,
                          "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: req_upstream\r\n"
                          "content-length: %zu\r\n\r\n",
                          strlen(body));
    put(connection, head, length);
    put(connection, body, strlen(body));
}

// One server-sent event in one HTTP chunk.
static void put_event(Connection *connection, const char *name, const char *data) {
    char text[1200], size[32];
    int length = name ? snprintf(text, sizeof text, "event: %s\ndata: %s\n\n", name, data)
                      : snprintf(text, sizeof text, "data: %s\n\n", data);
    put(connection, size, snprintf(size, sizeof size, "%x\r\n", length));
    put(connection, text, length);
    put(connection, "\r\n", 2);
    events_sent++;
}

// ── What each dialect says ─────────────────────────────────────────────────────────────────────────────────────

static void stamp(const Connection *connection, char *text) {
    sprintf(text, "T%016llx%016llx", (unsigned long long)connection->received_at, (unsigned long long)now());
}

static bool answer_whole(Connection *connection) {
    char body[2048], times[40];
    stamp(connection, times);
    switch (connection->dialect) {
        case OPENAI:
            snprintf(body, sizeof body,
                     "{\"id\":\"chatcmpl-upstream%06d\",\"object\":\"chat.completion\",\"created\":1700000000,"
                     "\"model\":\"upstream\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\","
                     "\"content\":\"%s %s\",\"refusal\":null,\"annotations\":[]},\"logprobs\":null,"
                     "\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":%d,\"completion_tokens\":%d,"
                     "\"total_tokens\":%d,\"prompt_tokens_details\":{\"cached_tokens\":0,\"audio_tokens\":0},"
                     "\"completion_tokens_details\":{\"reasoning_tokens\":0,\"audio_tokens\":0,"
                     "\"accepted_prediction_tokens\":0,\"rejected_prediction_tokens\":0}},"
                     "\"service_tier\":\"default\",\"system_fingerprint\":\"fp_upstream\"}",
                     connection->number, times, LOREM, INPUT_TOKENS, OUTPUT_TOKENS, INPUT_TOKENS + OUTPUT_TOKENS);
            break;
        case ANTHROPIC:
            snprintf(body, sizeof body,
                     "{\"id\":\"msg_upstream%06d\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"upstream\","
                     "\"content\":[{\"type\":\"text\",\"text\":\"%s %s\"}],\"stop_reason\":\"end_turn\","
                     "\"stop_sequence\":null,\"usage\":{\"input_tokens\":%d,\"cache_creation_input_tokens\":0,"
                     "\"cache_read_input_tokens\":0,\"output_tokens\":%d,\"service_tier\":\"standard\"}}",
                     connection->number, times, LOREM, INPUT_TOKENS, OUTPUT_TOKENS);
            break;
        case GEMINI:
            snprintf(body, sizeof body,
                     "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"%s %s\"}],\"role\":\"model\"},"
                     "\"finishReason\":\"STOP\",\"index\":0}],\"usageMetadata\":{\"promptTokenCount\":%d,"
                     "\"candidatesTokenCount\":%d,\"totalTokenCount\":%d},\"modelVersion\":\"upstream\","
                     "\"responseId\":\"upstream%06d\"}",
                     times, LOREM, INPUT_TOKENS, OUTPUT_TOKENS, INPUT_TOKENS + OUTPUT_TOKENS, connection->number);
    }
    put_whole(connection, body);
    return finish(connection);
}

#define CHAT_CHUNK                                                                                                \
    "{\"id\":\"chatcmpl-upstream%06d\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,"              \
    "\"model\":\"upstream\",\"system_fingerprint\":\"fp_upstream\",\"choices\":"

static void put_text(Connection *connection) {
    char data[512], times[40];
    bool first = connection->events_sent++ == 0;
    stamp(connection, times);
    switch (connection->dialect) {
        case OPENAI:
            if (first) {  // with the first text, as the API sends it once the first token is there
                snprintf(data, sizeof data,
                         CHAT_CHUNK "[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},"
                                    "\"logprobs\":null,\"finish_reason\":null}]}",
                         connection->number);
                put_event(connection, NULL, data);
            }
            snprintf(data, sizeof data,
                     CHAT_CHUNK "[{\"index\":0,\"delta\":{\"content\":\"%s tok\"},\"logprobs\":null,"
                                "\"finish_reason\":null}]}",
                     connection->number, times);
            put_event(connection, NULL, data);
            return;
        case ANTHROPIC:
            if (first) {
                snprintf(data, sizeof data,
                         "{\"type\":\"message_start\",\"message\":{\"id\":\"msg_upstream%06d\",\"type\":\"message\","
                         "\"role\":\"assistant\",\"model\":\"upstream\",\"content\":[],\"stop_reason\":null,"
                         "\"stop_sequence\":null,\"usage\":{\"input_tokens\":%d,\"output_tokens\":1}}}",
                         connection->number, INPUT_TOKENS);
                put_event(connection, "message_start", data);
                put_event(connection, "content_block_start",
                          "{\"type\":\"content_block_start\",\"index\":0,"
                          "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}");
            }
            snprintf(data, sizeof data,
                     "{\"type\":\"content_block_delta\",\"index\":0,"
                     "\"delta\":{\"type\":\"text_delta\",\"text\":\"%s tok\"}}",
                     times);
            put_event(connection, "content_block_delta", data);
            return;
        case GEMINI:
            snprintf(data, sizeof data,
                     "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"%s tok\"}],\"role\":\"model\"},"
                     "\"index\":0}],\"usageMetadata\":{\"promptTokenCount\":%d,\"candidatesTokenCount\":%d,"
                     "\"totalTokenCount\":%d},\"modelVersion\":\"upstream\",\"responseId\":\"upstream%06d\"}",
                     times, INPUT_TOKENS, connection->events_sent, INPUT_TOKENS + connection->events_sent,
                     connection->number);
            put_event(connection, NULL, data);
    }
}

static void put_end(Connection *connection) {
    char data[512];
    int tokens = connection->events;
    switch (connection->dialect) {
        case OPENAI:
            snprintf(data, sizeof data,
                     CHAT_CHUNK "[{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"stop\"}]}",
                     connection->number);
            put_event(connection, NULL, data);
            if (connection->reports_usage) {
                snprintf(data, sizeof data,
                         CHAT_CHUNK "[],\"usage\":{\"prompt_tokens\":%d,\"completion_tokens\":%d,\"total_tokens\":%d}}",
                         connection->number, INPUT_TOKENS, tokens, INPUT_TOKENS + tokens);
                put_event(connection, NULL, data);
            }
            put_event(connection, NULL, "[DONE]");
            break;
        case ANTHROPIC:
            put_event(connection, "content_block_stop", "{\"type\":\"content_block_stop\",\"index\":0}");
            snprintf(data, sizeof data,
                     "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},"
                     "\"usage\":{\"input_tokens\":%d,\"output_tokens\":%d}}",
                     INPUT_TOKENS, tokens);
            put_event(connection, "message_delta", data);
            put_event(connection, "message_stop", "{\"type\":\"message_stop\"}");
            break;
        case GEMINI:
            snprintf(data, sizeof data,
                     "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"\"}],\"role\":\"model\"},"
                     "\"finishReason\":\"STOP\",\"index\":0}],\"usageMetadata\":{\"promptTokenCount\":%d,"
                     "\"candidatesTokenCount\":%d,\"totalTokenCount\":%d},\"modelVersion\":\"upstream\","
                     "\"responseId\":\"upstream%06d\"}",
                     INPUT_TOKENS, tokens, INPUT_TOKENS + tokens, connection->number);
            put_event(connection, NULL, data);
    }
    put(connection, "0\r\n\r\n", 5);
}

// Send the text that is due, and all that follows at once.
static bool stream_on(Connection *connection) {
    while (connection->events_sent < connection->events) {
        put_text(connection);
        if (!flush(connection)) return false;
        if (connection->interval) {
            wait_until(connection, connection->due + connection->interval);
            return true;
        }
    }
    put_end(connection);
    return finish(connection);
}

static bool answer(Connection *connection) {
    if (!connection->streaming) return answer_whole(connection);
    if (connection->events_sent == 0) {
        const char *head =
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n"
            "x-request-id: req_upstream\r\ntransfer-encoding: chunked\r\n\r\n";
        put(connection, head, strlen(head));
    }
    return stream_on(connection);
}

// ── Receiving ──────────────────────────────────────────────────────────────────────────────────────────────────

static char *find(char *text, size_t length, const char *wanted) {
    return memmem(text, length, wanted, strlen(wanted));
}

// The value of a header, whose name may be written in any case.
static char *header(char *head, size_t length, const char *name) {
    size_t name_length = strlen(name);
    for (char *line = head; (line = memmem(line, head + length - line, "\r\n", 2)); line += 2)
        if ((size_t)(head + length - line) > name_length + 2 && !strncasecmp(line + 2, name, name_length))
            return line + 2 + name_length;
    return NULL;
}

static uint64_t number_after(char *text, size_t length, const char *name, uint64_t otherwise) {
    char *found = find(text, length, name);
    return found ? strtoull(found + strlen(name), NULL, 10) : otherwise;
}

// The length of the whole request in the buffer, or 0 while a part is missing.
static size_t request_length(Connection *connection, size_t head_length) {
    char *value = header(connection->in, head_length, "content-length:");
    if (value) {
        size_t length = head_length + strtoul(value, NULL, 10);
        return connection->in_length < length ? 0 : length;
    }
    if (!header(connection->in, head_length, "transfer-encoding: chunked")) return head_length;
    for (size_t at = head_length;;) {
        char *line_end = memmem(connection->in + at, connection->in_length - at, "\r\n", 2);
        if (!line_end) return 0;
        size_t size = strtoul(connection->in + at, NULL, 16);
        at = line_end - connection->in + 2 + size + 2;
        if (at > connection->in_length) return 0;
        if (size == 0) return at;
    }
}

static bool answer_get(Connection *connection, bool wants_stats) {
    char body[256];
    if (wants_stats)
        snprintf(body, sizeof body,
                 "{\"requests\":%llu,\"streams\":%llu,\"aborted\":%llu,\"events\":%llu,\"connections\":%d}",
                 (unsigned long long)requests, (unsigned long long)streams, (unsigned long long)aborted,
                 (unsigned long long)events_sent, connections);
    else
        snprintf(body, sizeof body,
                 "{\"object\":\"list\",\"data\":[{\"id\":\"upstream\",\"object\":\"model\",\"created\":1700000000,"
                 "\"owned_by\":\"upstream\"}]}");
    put_whole(connection, body);
    return finish(connection);
}

static Dialect dialect_of(char *head, size_t length) {
    char *line_end = memmem(head, length, "\r\n", 2);
    size_t line = line_end - head;
    if (find(head, line, "/messages")) return ANTHROPIC;
    return find(head, line, ":generateContent") || find(head, line, ":streamGenerateContent") ? GEMINI : OPENAI;
}

static bool answer_next(Connection *connection) {
    if (connection->answering || !connection->in_length) return true;
    char *end = memmem(connection->in, connection->in_length, "\r\n\r\n", 4);
    if (!end) return connection->in_length <= MOST_HEAD_BYTES;
    size_t head_length = end - connection->in + 4, length = request_length(connection, head_length);
    if (!length) return true;
    char *body = connection->in + head_length;
    size_t body_length = length - head_length;
    connection->close_after = header(connection->in, head_length, "connection: close") != NULL;
    connection->received_at = connection->due = now();
    bool is_get = connection->in[0] == 'G', wants_stats = !strncmp(connection->in, "GET /stats", 10);
    uint64_t delay = 0;
    if (!is_get) {
        connection->answering = true;
        connection->number = (int)(++requests % 1000000);
        connection->dialect = dialect_of(connection->in, head_length);
        connection->streaming = find(body, body_length, "\"stream\":true") ||
                                find(body, body_length, "\"stream\": true") ||
                                find(connection->in, head_length, ":streamGenerateContent");
        connection->reports_usage = find(body, body_length, "\"include_usage\":true") ||
                                    find(body, body_length, "\"include_usage\": true");
        connection->events_sent = 0;
        connection->events = (int)number_after(body, body_length, "upstream-events=", DEFAULT_EVENTS);
        connection->interval = 1000ull * number_after(body, body_length, "upstream-interval-us=", 0);
        delay = 1000000ull * number_after(body, body_length, "upstream-delay-ms=", 0);
        streams += connection->streaming;
    }
    memmove(connection->in, connection->in + length, connection->in_length - length);
    connection->in_length -= length;
    if (is_get) return answer_get(connection, wants_stats);
    if (!delay) return answer(connection);
    wait_until(connection, connection->received_at + delay);
    return true;
}

static bool receive(Connection *connection) {
    for (;;) {
        if (connection->in_capacity - connection->in_length < READ_BYTES) {
            connection->in_capacity = connection->in_capacity * 2 + 2 * READ_BYTES;
            connection->in = realloc(connection->in, connection->in_capacity);
        }
        ssize_t length = recv(connection->fd, connection->in + connection->in_length,
                              connection->in_capacity - connection->in_length, 0);
        if (length == 0) return false;
        if (length < 0) {
            if (errno != EAGAIN) return false;
            break;
        }
        connection->in_length += length;
        if (length < READ_BYTES) break;
    }
    return answer_next(connection);
}

static void drop(Connection *connection) {
    wait_no_longer(connection);
    aborted += connection->answering;
    connections--;
    close(connection->fd);
    free(connection->in);
    free(connection->out);
    free(connection);
}

static void accept_all(int listener) {
    for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        Connection *connection = calloc(1, sizeof *connection);
        connection->fd = fd;
        connections++;
        struct epoll_event event = {EPOLLIN | EPOLLRDHUP, {.ptr = connection}};
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    }
}

static void serve(Connection *connection, uint32_t happened) {
    bool alive = !(happened & (EPOLLERR | EPOLLHUP | EPOLLRDHUP));
    if (alive && (happened & EPOLLOUT)) alive = flush(connection);
    if (alive && (happened & EPOLLIN)) alive = receive(connection);
    if (!alive) drop(connection);
}

static int listen_on(int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    if (bind(fd, (void *)&address, sizeof address) || listen(fd, 4096)) {
        perror("upstream");
        exit(1);
    }
    struct epoll_event event = {EPOLLIN, {.ptr = NULL}};
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    return fd;
}

int main(int count, char **arguments) {
    if (count != 2) {
        fprintf(stderr, "usage: upstream PORT\n");
        return 2;
    }
    prctl(PR_SET_TIMERSLACK, 1000, 0, 0, 0);
    epoll = epoll_create1(0);
    int listener = listen_on(atoi(arguments[1]));
    for (struct epoll_event happened[256];;) {
        struct timespec wait = {0};
        if (heap_size) {
            uint64_t time = now(), left = heap[1]->due > time ? heap[1]->due - time : 0;
            wait.tv_sec = left / 1000000000ull;
            wait.tv_nsec = left % 1000000000ull;
        }
        int number = epoll_pwait2(epoll, happened, 256, heap_size ? &wait : NULL, NULL);
        for (int i = 0; i < number; i++) {
            if (happened[i].data.ptr) serve(happened[i].data.ptr, happened[i].events);
            else accept_all(listener);
        }
        for (uint64_t time = now(); heap_size && heap[1]->due <= time;) {
            Connection *connection = heap[1];
            wait_no_longer(connection);
            if (!answer(connection)) drop(connection);
        }
    }
}
