// A load generator for OpenAI-compatible APIs on this machine, with one thread.
//
//     load -u http://127.0.0.1:PORT/PATH -b BODY_FILE [-H 'Name: value']... [-k KEYS_FILE] [-c CONNECTIONS] [-d SECONDS]
//          [-w WARM_UP_SECONDS] [-r RATE] [-s] [-t TIMEOUT_SECONDS]
//
// Without -r each connection always has a request in flight. With -r requests are sent on a fixed schedule; when no
// connection is free a request waits, and its latency counts from its scheduled time. -s reads server-sent events. -k
// has one API key a line, all of one length, used in turn. The first "########" in the body becomes a running number, so
// that no two requests are equal.
//
// Prints one JSON object, times in microseconds. "overhead" is the latency without the time spent in bench/speed/upstream.c,
// which each answer states: what the gateway and the loopback took. "event_delay" is the same for each streamed event.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { MOST_HEAD_BYTES = 8192, MOST_SAMPLES = 8000000, NUMBER_DIGITS = 8, STAMP_DIGITS = 32 };

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000ull + time.tv_nsec;
}

// ── Samples ────────────────────────────────────────────────────────────────────────────────────────────────────

typedef struct {
    float *values;
    size_t size, capacity;
} Samples;

static void add(Samples *samples, double value) {
    if (samples->size >= MOST_SAMPLES) return;
    if (samples->size == samples->capacity) {
        samples->capacity = samples->capacity ? samples->capacity * 2 : 4096;
        samples->values = realloc(samples->values, samples->capacity * sizeof(float));
    }
    samples->values[samples->size++] = value;
}

static int compare(const void *left, const void *right) {
    float a = *(const float *)left, b = *(const float *)right;
    return a < b ? -1 : a > b;
}

static double quantile(const Samples *samples, double share) {
    return samples->size ? samples->values[(size_t)(share * (samples->size - 1) + 0.5)] : 0;
}

static void print_samples(const char *name, Samples *samples) {
    double sum = 0;
    qsort(samples->values, samples->size, sizeof(float), compare);
    for (size_t i = 0; i < samples->size; i++) sum += samples->values[i];
    printf(",\"%s\":{\"count\":%zu,\"mean\":%.1f,\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"p999\":%.1f,\"max\":%.1f}", name,
           samples->size, samples->size ? sum / samples->size : 0, quantile(samples, .5), quantile(samples, .9),
           quantile(samples, .99), quantile(samples, .999), quantile(samples, 1));
}

// ── State ──────────────────────────────────────────────────────────────────────────────────────────────────────

typedef enum { CLOSED, IDLE, BUSY } State;
typedef enum { CHUNK_SIZE, CHUNK_DATA, CHUNK_END, TRAILER } ChunkPart;
typedef enum { BEFORE_STAMP, IN_QUOTES, IN_STAMP, STAMP_READ } StampPart;

typedef struct Connection {
    int fd;
    State state;
    uint64_t started_at, sent_at, first_byte_at;
    bool measured;  // the request began after warm-up
    char head[MOST_HEAD_BYTES];  // of the request while it is sent, then of the answer
    size_t head_length, sent;
    char number[NUMBER_DIGITS + 1];
    bool head_read, chunked, closes;
    int status;
    int64_t content_length;
    size_t body_read;
    ChunkPart chunk_part;
    uint64_t chunk_left;
    size_t trailer_length;
    size_t event_matched;  // characters of "data:" just read
    long events;
    StampPart stamp_part;
    char digits[STAMP_DIGITS + 1];
    int digits_read;
    uint64_t upstream_received_at, upstream_sent_at;
    struct Connection *next_idle;
} Connection;

typedef struct Waiting {
    uint64_t scheduled_at;
    bool waited;
    struct Waiting *next;
} Waiting;

static int epoll;
static struct sockaddr_in address;
static bool streaming;
static double seconds = 10, warm_up = 1, rate = 0, timeout = 30;
static int connection_count = 32;

static char head_start[MOST_HEAD_BYTES / 2], head_end[64];
static char **keys;
static size_t key_count;
static char *body_start = "", *body_end = "";  // before and after the running number
static size_t body_start_length, body_end_length;
static bool numbered;

static Connection *connections, *idle;
static Waiting *queue_head, *queue_tail;
static long queued, most_queued;
static uint64_t measured_from, measured_until;
static long started, succeeded, failed, refused, timed_out, events, in_flight, reconnects;
static Samples latency, overhead, first_byte, event_delay;
static char first_error[400];

static void finish(Connection *connection, bool whole);

// ── Sending ────────────────────────────────────────────────────────────────────────────────────────────────────

static bool open_connection(Connection *connection) {
    int on = 1;
    connection->fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(connection->fd, (void *)&address, sizeof address) < 0) {
        close(connection->fd);
        connection->state = CLOSED;
        return false;
    }
    fcntl(connection->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event event = {EPOLLIN | EPOLLRDHUP, {.ptr = connection}};
    epoll_ctl(epoll, EPOLL_CTL_ADD, connection->fd, &event);
    connection->state = IDLE;
    return true;
}

static void close_connection(Connection *connection) {
    if (connection->state != CLOSED) close(connection->fd);
    connection->state = CLOSED;
}

static void release(Connection *connection) {
    connection->next_idle = idle;
    idle = connection;
}

static void watch(Connection *connection, bool writing) {
    struct epoll_event event = {EPOLLIN | EPOLLRDHUP | (writing ? EPOLLOUT : 0), {.ptr = connection}};
    epoll_ctl(epoll, EPOLL_CTL_MOD, connection->fd, &event);
}

static void send_request(Connection *connection, bool again) {
    struct iovec parts[] = {{connection->head, connection->head_length},
                            {body_start, body_start_length},
                            {connection->number, numbered ? NUMBER_DIGITS : 0},
                            {body_end, body_end_length}};
    size_t length = 0;
    for (int i = 0; i < 4; i++) length += parts[i].iov_len;
    while (connection->sent < length) {
        size_t skip = connection->sent;
        struct iovec left[4];
        int count = 0;
        for (int i = 0; i < 4; i++) {
            size_t skipped = skip < parts[i].iov_len ? skip : parts[i].iov_len;
            skip -= skipped;
            if (skipped < parts[i].iov_len)
                left[count++] = (struct iovec){(char *)parts[i].iov_base + skipped, parts[i].iov_len - skipped};
        }
        struct msghdr message = {.msg_iov = left, .msg_iovlen = count};
        ssize_t sent = sendmsg(connection->fd, &message, MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno == EAGAIN) watch(connection, true);
            else finish(connection, false);
            return;
        }
        connection->sent += sent;
    }
    if (again) watch(connection, false);
    connection->head_length = 0;
}

static void start(Connection *connection, uint64_t at) {
    Connection fresh = {.fd = connection->fd, .state = connection->state, .content_length = -1, .started_at = at,
                        .measured = at >= measured_from};
    char *key = key_count ? keys[started % key_count] : NULL;
    fresh.head_length = snprintf(fresh.head, sizeof fresh.head, "%s%s%s%s%s", head_start,
                                 key ? "Authorization: Bearer " : "", key ? key : "", key ? "\r\n" : "", head_end);
    snprintf(fresh.number, sizeof fresh.number, "%08u", (unsigned)(started % 100000000));
    *connection = fresh;
    started++;
    in_flight++;
    if (connection->state == CLOSED) {
        reconnects++;
        if (!open_connection(connection)) {
            in_flight--;
            if (connection->measured) failed++;
            release(connection);
            return;
        }
    }
    connection->state = BUSY;
    connection->sent_at = now();
    send_request(connection, false);
}

// ── Receiving ──────────────────────────────────────────────────────────────────────────────────────────────────

static void finish(Connection *connection, bool whole) {
    uint64_t at = now();
    bool counts = connection->measured && connection->started_at < measured_until;
    bool accepted = connection->status >= 200 && connection->status <= 299;
    in_flight--;
    if (counts && whole && accepted) {
        double taken = (at - connection->started_at) / 1e3;
        succeeded++;
        add(&latency, taken);
        if (connection->upstream_received_at)
            add(&overhead, taken - (connection->upstream_sent_at - connection->upstream_received_at) / 1e3);
        if (streaming && connection->first_byte_at)
            add(&first_byte, (connection->first_byte_at - connection->started_at) / 1e3);
    } else if (counts) {
        *(whole ? &refused : &failed) += 1;
    }
    if (counts) events += connection->events;
    if (!whole || !accepted || connection->closes) close_connection(connection);
    else connection->state = IDLE;
    release(connection);
}

static void read_stamp(Connection *connection, uint64_t at) {
    char half[17] = {0};
    memcpy(half, connection->digits, 16);
    connection->upstream_received_at = strtoull(half, NULL, 16);
    memcpy(half, connection->digits + 16, 16);
    connection->upstream_sent_at = strtoull(half, NULL, 16);
    if (streaming && connection->measured) add(&event_delay, (at - (double)connection->upstream_sent_at) / 1e3);
}

// Count events and read the upstream's times: a quote, T and 32 hexadecimal digits.
static void read_body(Connection *connection, const char *bytes, size_t length, uint64_t at) {
    static const char EVENT[] = "data:";
    if (!length) return;
    if (!connection->first_byte_at) connection->first_byte_at = at;
    connection->body_read += length;
    for (size_t i = 0; i < length; i++) {
        char byte = bytes[i];
        if (streaming) {
            if (byte != EVENT[connection->event_matched]) connection->event_matched = byte == 'd';
            else if (++connection->event_matched == sizeof EVENT - 1) {
                connection->event_matched = 0;
                connection->events++;
            }
        }
        switch (connection->stamp_part) {
            case BEFORE_STAMP:
                if (byte == '"') connection->stamp_part = IN_QUOTES;
                break;
            case IN_QUOTES:
                connection->digits_read = 0;
                connection->stamp_part = byte == 'T' ? IN_STAMP : byte == '"' ? IN_QUOTES : BEFORE_STAMP;
                break;
            case IN_STAMP:
                if (!strchr("0123456789abcdef", byte)) {
                    connection->stamp_part = BEFORE_STAMP;
                    break;
                }
                connection->digits[connection->digits_read++] = byte;
                if (connection->digits_read < STAMP_DIGITS) break;
                read_stamp(connection, at);
                connection->stamp_part = streaming ? BEFORE_STAMP : STAMP_READ;
                break;
            case STAMP_READ:
                if (!streaming) return;
        }
    }
}

// Returns how many bytes belonged to the head; `head_read` says whether it is complete.
static size_t read_head(Connection *connection, const char *bytes, size_t length) {
    for (size_t i = 0; i < length;) {
        if (connection->head_length >= MOST_HEAD_BYTES - 1) {
            finish(connection, false);
            return length;
        }
        connection->head[connection->head_length++] = bytes[i++];
        if (connection->head_length < 4 || memcmp(connection->head + connection->head_length - 4, "\r\n\r\n", 4)) continue;
        connection->head[connection->head_length] = 0;
        connection->status = atoi(connection->head + 9);
        if (connection->status == 100) {
            connection->head_length = 0;
            continue;
        }
        char *value;
        connection->head_read = true;
        if ((value = strcasestr(connection->head, "\r\ncontent-length:"))) connection->content_length = atol(value + 17);
        if ((value = strcasestr(connection->head, "\r\ntransfer-encoding:")) && strcasestr(value, "chunked"))
            connection->chunked = true;
        if ((value = strcasestr(connection->head, "\r\nconnection:"))) {
            char *closing = strcasestr(value, "close");
            connection->closes = closing && closing < strstr(value + 2, "\r\n");
        }
        return i;
    }
    return length;
}

static void read_chunks(Connection *connection, const char *bytes, size_t length, uint64_t at) {
    for (size_t i = 0; i < length;) {
        char byte = bytes[i];
        switch (connection->chunk_part) {
            case CHUNK_SIZE:
                i++;
                if (byte == '\n') {
                    connection->chunk_part = connection->chunk_left ? CHUNK_DATA : TRAILER;
                    connection->trailer_length = 0;
                } else if (byte >= '0' && byte <= '9') {
                    connection->chunk_left = connection->chunk_left * 16 + byte - '0';
                } else if ((byte | 32) >= 'a' && (byte | 32) <= 'f') {
                    connection->chunk_left = connection->chunk_left * 16 + (byte | 32) - 'a' + 10;
                }
                break;
            case CHUNK_DATA: {
                size_t here = length - i < connection->chunk_left ? length - i : connection->chunk_left;
                read_body(connection, bytes + i, here, at);
                i += here;
                connection->chunk_left -= here;
                if (!connection->chunk_left) connection->chunk_part = CHUNK_END;
                break;
            }
            case CHUNK_END:
                i++;
                if (byte == '\n') connection->chunk_part = CHUNK_SIZE;
                break;
            case TRAILER:  // ends with an empty line
                i++;
                if (byte != '\n') connection->trailer_length += byte != '\r';
                else if (connection->trailer_length) connection->trailer_length = 0;
                else {
                    finish(connection, true);
                    return;
                }
        }
    }
}

static void read_answer(Connection *connection, const char *bytes, size_t length) {
    uint64_t at = now();
    if (!connection->head_read) {
        size_t head = read_head(connection, bytes, length);
        if (!connection->head_read || connection->state != BUSY) return;
        bytes += head;
        length -= head;
        if (connection->status / 100 != 2 && !first_error[0])
            snprintf(first_error, sizeof first_error, "status %d: %.*s", connection->status,
                     (int)(length > 250 ? 250 : length), bytes);
        if (!connection->chunked && connection->content_length == 0) {
            finish(connection, true);
            return;
        }
    }
    if (!length) return;
    if (connection->chunked) {
        read_chunks(connection, bytes, length, at);
        return;
    }
    read_body(connection, bytes, length, at);
    if (connection->content_length >= 0 && (int64_t)connection->body_read >= connection->content_length)
        finish(connection, true);
}

static void receive(Connection *connection) {
    static char buffer[262144];
    while (connection->state != CLOSED) {
        ssize_t length = recv(connection->fd, buffer, sizeof buffer, 0);
        if (length < 0 && errno == EAGAIN) return;
        if (length <= 0) {
            // An answer without a length ends with its connection.
            bool ends_here = connection->head_read && !connection->chunked && connection->content_length < 0;
            if (connection->state != BUSY) close_connection(connection);
            else {
                connection->closes = true;
                finish(connection, ends_here);
            }
            return;
        }
        if (connection->state == BUSY) read_answer(connection, buffer, length);
        if ((size_t)length < sizeof buffer) return;
    }
}

// ── The run ────────────────────────────────────────────────────────────────────────────────────────────────────

static Connection *take_idle(void) {
    Connection *connection = idle;
    idle = connection->next_idle;
    return connection;
}

static void start_all_idle(void) {
    for (int tries = 0; idle && tries < connection_count; tries++) start(take_idle(), now());
}

static void queue_scheduled(double *next, uint64_t time) {
    for (; (uint64_t)*next <= time; *next += 1e9 / rate) {
        Waiting *waiting = malloc(sizeof *waiting);
        *waiting = (Waiting){(uint64_t)*next, idle == NULL || queue_head != NULL, NULL};
        if (queue_tail) queue_tail->next = waiting;
        else queue_head = waiting;
        queue_tail = waiting;
        if (++queued > most_queued) most_queued = queued;
    }
}

static void start_queued(void) {
    while (queue_head && idle) {
        Waiting *waiting = queue_head;
        queue_head = waiting->next;
        if (!queue_head) queue_tail = NULL;
        queued--;
        start(take_idle(), waiting->waited ? waiting->scheduled_at : now());
        free(waiting);
    }
}

static void end_late_requests(uint64_t time) {
    for (int i = 0; i < connection_count; i++)
        if (connections[i].state == BUSY && time - connections[i].sent_at > (uint64_t)(timeout * 1e9)) {
            timed_out++;
            finish(&connections[i], false);
        }
}

static void run(void) {
    uint64_t began_at = now(), looked_at = began_at;
    double next = began_at;
    measured_from = began_at + (uint64_t)(warm_up * 1e9);
    measured_until = measured_from + (uint64_t)(seconds * 1e9);
    for (struct epoll_event happened[256];;) {
        uint64_t time = now();
        bool over = time >= measured_until;
        if (over && in_flight == 0 && !queue_head) return;
        if (time > measured_until + (uint64_t)(timeout * 1e9) + 1000000000ull) return;
        if (!over && rate == 0) start_all_idle();
        if (!over && rate > 0) queue_scheduled(&next, time);
        if (rate > 0) start_queued();
        struct timespec wait = {0, 50000000};
        if (rate > 0 && !over) {
            uint64_t left = (uint64_t)next > now() ? (uint64_t)next - now() : 0;
            if (left < 50000000) wait.tv_nsec = left;
        }
        int number = epoll_pwait2(epoll, happened, 256, &wait, NULL);
        for (int i = 0; i < number; i++) {
            Connection *connection = happened[i].data.ptr;
            if (connection->state == CLOSED) continue;
            if ((happened[i].events & EPOLLOUT) && connection->state == BUSY) send_request(connection, true);
            if (happened[i].events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) receive(connection);
        }
        if (now() - looked_at > 500000000ull) end_late_requests(looked_at = now());
    }
}

static void report(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    double cpu = used.ru_utime.tv_sec + used.ru_stime.tv_sec + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
    for (char *letter = first_error; *letter; letter++)
        if (*letter == '"' || *letter == '\\' || (unsigned char)*letter < 32) *letter = '\'';
    printf("{\"started\":%ld,\"succeeded\":%ld,\"failed\":%ld,\"refused\":%ld,\"timed_out\":%ld,\"reconnects\":%ld,"
           "\"most_queued\":%ld,\"requests_per_s\":%.1f,\"events_per_s\":%.1f,\"load_cpu_s\":%.2f",
           started, succeeded, failed, refused, timed_out, reconnects, most_queued, succeeded / seconds, events / seconds,
           cpu);
    print_samples("latency", &latency);
    print_samples("overhead", &overhead);
    print_samples("first_byte", &first_byte);
    print_samples("event_delay", &event_delay);
    printf(",\"first_error\":\"%s\"}\n", first_error);
}

static char *contents(const char *path, size_t *length) {
    FILE *file = fopen(path, "rb");
    if (!file) {
        perror(path);
        exit(2);
    }
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    rewind(file);
    char *text = calloc(1, size + 1);
    *length = fread(text, 1, size, file);
    fclose(file);
    return text;
}

static void read_keys(const char *path) {
    size_t length, capacity = 0;
    for (char *line = strtok(contents(path, &length), "\n"); line; line = strtok(NULL, "\n")) {
        if (key_count == capacity) keys = realloc(keys, (capacity = capacity * 2 + 64) * sizeof *keys);
        keys[key_count++] = line;
    }
}

static void read_template(const char *path) {
    size_t length;
    body_start = contents(path, &length);
    char *number = strstr(body_start, "########");
    numbered = number != NULL;
    body_start_length = numbered ? (size_t)(number - body_start) : length;
    body_end = body_start + body_start_length + (numbered ? NUMBER_DIGITS : 0);
    body_end_length = length - (body_end - body_start);
    snprintf(head_end, sizeof head_end, "Content-Length: %zu\r\n\r\n", length);
}

int main(int count, char **arguments) {
    char host[128] = "", path[512] = "/", headers[MOST_HEAD_BYTES / 4] = "";
    int port = 0;
    for (int option; (option = getopt(count, arguments, "u:b:H:k:c:d:w:r:st:")) != -1;) switch (option) {
            case 'u': sscanf(optarg, "http://%127[^:]:%d%511s", host, &port, path); break;
            case 'b': read_template(optarg); break;
            case 'H':
                strncat(headers, optarg, sizeof headers - strlen(headers) - 3);
                strcat(headers, "\r\n");
                break;
            case 'k': read_keys(optarg); break;
            case 'c': connection_count = atoi(optarg); break;
            case 'd': seconds = atof(optarg); break;
            case 'w': warm_up = atof(optarg); break;
            case 'r': rate = atof(optarg); break;
            case 's': streaming = true; break;
            case 't': timeout = atof(optarg); break;
            default: return 2;
        }
    if (strcmp(host, "127.0.0.1") || !head_end[0]) {
        fprintf(stderr, "load: -u needs an address on 127.0.0.1, and -b a file\n");
        return 2;
    }
    prctl(PR_SET_TIMERSLACK, 1000, 0, 0, 0);
    snprintf(head_start, sizeof head_start,
             "POST %s HTTP/1.1\r\nHost: %s:%d\r\nUser-Agent: load\r\nAccept: */*\r\nContent-Type: application/json\r\n%s",
             path, host, port, headers);
    address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, host, &address.sin_addr);
    epoll = epoll_create1(0);
    connections = calloc(connection_count, sizeof *connections);
    for (int i = 0; i < connection_count; i++) {
        if (rate == 0 && !open_connection(&connections[i])) {
            fprintf(stderr, "load: cannot connect to %s:%d\n", host, port);
            return 1;
        }
        release(&connections[i]);
    }
    run();
    report();
    return 0;
}
