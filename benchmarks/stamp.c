/* The trivial child: stamps the monotonic clock the moment it runs, and waits to be killed.

   Called as regrow calls a gateway (`PROGRAM ENTRY gateway run --port N …`) it then does the least that makes regrow
   believe in it: it takes the state directory's lock, answers the probes, lets regrow's socket in and keeps it open.
   `PROGRAM --version` and `PROGRAM ENTRY config validate` play the rest of a Node with an OpenClaw. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define GUESTS 32
#define ROOM 16384

static struct pollfd door[GUESTS + 1];
static struct guest { int let_in, used; unsigned char heard[ROOM]; } guests[GUESTS + 1];

static int stamp(const struct timespec *now) {
    const char *file = getenv("STAMP_FILE");
    if (!file) return 0;
    char line[64];
    int length = snprintf(line, sizeof line, "%d %ld.%09ld\n", (int)getpid(), (long)now->tv_sec, now->tv_nsec);
    int out = open(file, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (out < 0 || write(out, line, (size_t)length) != length) return 3;
    return close(out);
}

/* ── the lock on the state directory, as a gateway writes it and a kill leaves it behind ── */

static unsigned long long start_time(void) {
    char text[1024];
    int in = open("/proc/self/stat", O_RDONLY);
    ssize_t length = read(in, text, sizeof text - 1);
    close(in);
    text[length > 0 ? length : 0] = 0;
    char *at = strrchr(text, ')');
    for (int field = 2; at && field < 22; field++) at = strchr(at + 1, ' ');
    return at ? strtoull(at, 0, 10) : 0;
}

static void lock(const char *state, const char *port) {
    char path[4096], text[4096];
    snprintf(path, sizeof path, "%s/tmp", state);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/tmp/openclaw-%d", state, (int)getuid());
    mkdir(path, 0700);
    strncat(path, "/gateway.state.lock", sizeof path - strlen(path) - 1);
    const char *config = getenv("OPENCLAW_CONFIG_PATH");
    int length = snprintf(text, sizeof text,
        "{\"pid\":%d,\"createdAt\":\"2026-01-01T00:00:00.000Z\",\"configPath\":\"%s\",\"stateDir\":\"%s\","
        "\"port\":%s,\"startTime\":%llu}\n", (int)getpid(), config ? config : "", state, port, start_time());
    int out = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (out >= 0) { if (write(out, text, (size_t)length) != length) _exit(3); close(out); }
}

/* ── what the greeting of a WebSocket needs: SHA-1 of a short text, base64 of 20 bytes ── */

static uint32_t turn(uint32_t x, int by) { return x << by | x >> (32 - by); }

static void sha1(const char *text, unsigned char out[20]) {
    unsigned char block[128] = {0};
    size_t length = strlen(text), blocks = (length + 9 + 63) / 64;
    memcpy(block, text, length);
    block[length] = 0x80;
    for (int i = 0; i < 8; i++) block[blocks * 64 - 1 - i] = (unsigned char)((uint64_t)length * 8 >> (8 * i));
    uint32_t h[5] = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0};
    for (size_t b = 0; b < blocks; b++) {
        uint32_t w[80], v[5];
        for (int i = 0; i < 80; i++) {
            const unsigned char *p = block + b * 64 + i * 4;
            w[i] = i < 16 ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]
                          : turn(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
        }
        memcpy(v, h, sizeof h);
        for (int i = 0; i < 80; i++) {
            uint32_t f = i < 20 ? (v[1] & v[2]) | (~v[1] & v[3]) : i < 40 || i >= 60 ? v[1] ^ v[2] ^ v[3]
                         : (v[1] & v[2]) | (v[1] & v[3]) | (v[2] & v[3]);
            uint32_t k = i < 20 ? 0x5A827999 : i < 40 ? 0x6ED9EBA1 : i < 60 ? 0x8F1BBCDC : 0xCA62C1D6;
            uint32_t next = turn(v[0], 5) + f + v[4] + k + w[i];
            v[4] = v[3], v[3] = v[2], v[2] = turn(v[1], 30), v[1] = v[0], v[0] = next;
        }
        for (int i = 0; i < 5; i++) h[i] += v[i];
    }
    for (int i = 0; i < 20; i++) out[i] = (unsigned char)(h[i / 4] >> (24 - 8 * (i % 4)));
}

static void accept_key(const char *key, char out[29]) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char text[96];
    unsigned char hash[21] = {0};
    snprintf(text, sizeof text, "%.24s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
    sha1(text, hash);
    for (int i = 0; i < 7; i++) {
        uint32_t bits = (uint32_t)hash[i * 3] << 16 | (uint32_t)hash[i * 3 + 1] << 8 | hash[i * 3 + 2];
        for (int j = 0; j < 4; j++) out[i * 4 + j] = digits[bits >> (18 - 6 * j) & 63];
    }
    out[27] = '=', out[28] = 0;
}

/* ── the door ── */

static void say(int fd, const void *bytes, size_t length) {
    if (send(fd, bytes, length, MSG_NOSIGNAL) != (ssize_t)length) shutdown(fd, SHUT_RDWR);
}

static void frame(int fd, int kind, const char *text, size_t length) {
    unsigned char head[4] = {(unsigned char)(0x80 | kind), (unsigned char)(length < 126 ? length : 126),
                             (unsigned char)(length >> 8), (unsigned char)length};
    say(fd, head, length < 126 ? 2 : 4);
    say(fd, text, length);
}

static void answer(int fd, const char *asked) {
    char id[64] = "", text[1024];
    const char *at = strstr(asked, "\"id\":\"");
    if (at) sscanf(at + 6, "%63[^\"]", id);
    int greeting = strstr(asked, "\"method\":\"connect\"") != 0;
    int judging = strstr(asked, "\"method\":\"config.get\"") != 0; /* what is served was judged: it is kept, as always */
    int length = snprintf(text, sizeof text, judging
        ? "{\"type\":\"res\",\"id\":\"%s\",\"ok\":true,\"payload\":{\"valid\":true,\"pid\":%d}}" : greeting
        ? "{\"type\":\"res\",\"id\":\"%s\",\"ok\":true,\"payload\":{\"type\":\"hello-ok\",\"protocol\":4,\"server\":"
          "{\"version\":\"2026.9.6\",\"bootId\":\"%d\"},\"auth\":{\"scopes\":[\"operator.admin\"]}}}"
        : "{\"type\":\"res\",\"id\":\"%s\",\"ok\":false,\"error\":{\"code\":\"INVALID_REQUEST\",\"message\":\"pid %d\"}}",
        id, (int)getpid());
    frame(fd, 1, text, (size_t)length);
}

static void page(int fd, const char *asked) {
    const char *key = strcasestr(asked, "\nSec-WebSocket-Key: ");
    char text[512], accept[29];
    if (key) {
        static const char challenge[] = "{\"type\":\"event\",\"event\":\"connect.challenge\",\"payload\":{\"nonce\":\"n\",\"ts\":1}}";
        accept_key(key + 20, accept);
        int length = snprintf(text, sizeof text, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", accept);
        say(fd, text, (size_t)length);
        frame(fd, 1, challenge, sizeof challenge - 1);
        return;
    }
    const char *body = !strncmp(asked, "GET /startupz ", 14) ? "{\"ok\":true,\"status\":\"started\",\"version\":\"2026.9.6\"}"
                     : !strncmp(asked, "GET /readyz ", 12) ? "{\"ready\":true}" : "{\"ok\":true,\"status\":\"live\"}";
    int length = snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        "Content-Length: %zu\r\n\r\n%s", strlen(body), body);
    say(fd, text, (size_t)length);
}

/* How many bytes of what was heard made one whole request or frame, which is answered; 0: more must come. */
static int understand(int fd, struct guest *g) {
    unsigned char *b = g->heard;
    if (!g->let_in) {
        b[g->used] = 0;
        char *end = strstr((char *)b, "\r\n\r\n");
        if (!end) return 0;
        page(fd, (char *)b);
        g->let_in = strcasestr((char *)b, "\nSec-WebSocket-Key: ") != 0;
        return (int)(end - (char *)b) + 4;
    }
    if (g->used < 6) return 0;
    int length = b[1] & 127, head = 6;
    if (length == 126) length = b[2] << 8 | b[3], head = 8;
    if (g->used < head + length) return 0;
    char text[ROOM];
    for (int i = 0; i < length; i++) text[i] = (char)(b[head + i] ^ b[head - 4 + i % 4]);
    text[length] = 0;
    int kind = b[0] & 15;
    if (kind == 9) frame(fd, 10, text, (size_t)length);
    if (kind == 8) { frame(fd, 8, text, (size_t)length); shutdown(fd, SHUT_RDWR); }
    if (kind == 1) answer(fd, text);
    return head + length;
}

static void hear(int i) {
    struct guest *g = &guests[i];
    ssize_t length = recv(door[i].fd, g->heard + g->used, (size_t)(ROOM - 1 - g->used), 0);
    if (length <= 0) { close(door[i].fd); door[i].fd = -1; return; }
    g->used += (int)length;
    for (int done; (done = understand(door[i].fd, g)) > 0;) memmove(g->heard, g->heard + done, (size_t)(g->used -= done));
}

static int serve(const char *port) {
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int yes = 1;
    for (int i = 0; i <= GUESTS; i++) door[i] = (struct pollfd){.fd = -1, .events = POLLIN};
    door[0].fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(door[0].fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(door[0].fd, (struct sockaddr *)&here, sizeof here) || listen(door[0].fd, 64)) return 1;
    while (poll(door, GUESTS + 1, -1) >= 0) {
        for (int i = 1; i <= GUESTS; i++) if (door[i].fd >= 0 && door[i].revents) hear(i);
        if (!door[0].revents) continue;
        int guest = accept(door[0].fd, 0, 0), free = 1;
        while (free <= GUESTS && door[free].fd >= 0) free++;
        if (free > GUESTS) { close(guest); continue; }
        door[free].fd = guest, door[free].revents = 0, guests[free].used = guests[free].let_in = 0;
    }
    return 1;
}

int main(int argc, char **argv) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (argc == 2 && !strcmp(argv[1], "--version")) return puts("v24.19.0") < 0;
    if (argc > 2 && !strcmp(argv[2], "config")) return puts("{\"valid\":true}") < 0;
    if (stamp(&now)) return 3;
    for (int i = 2; i + 2 < argc; i++) {
        if (strcmp(argv[i], "--port")) continue;
        lock(getenv("OPENCLAW_STATE_DIR"), argv[i + 1]);
        return serve(argv[i + 1]);
    }
    for (;;) pause();
}
