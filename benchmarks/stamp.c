/* The trivial child: stamps the monotonic clock the moment it runs, and waits to be killed.
   Run as `PROGRAM --version` it plays a Node, as `PROGRAM ENTRY …` anything but `gateway run` does nothing. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (argc == 2 && !strcmp(argv[1], "--version")) {
        puts("v24.19.0");
        return 0;
    }
    if (argc > 3 && strcmp(argv[3], "run")) {
        puts("{\"valid\":true}");
        return 0;
    }
    const char *file = getenv("STAMP_FILE");
    if (file) {
        char line[64];
        int length = snprintf(line, sizeof line, "%d %ld.%09ld\n", (int)getpid(), (long)now.tv_sec, now.tv_nsec);
        int out = open(file, O_WRONLY | O_CREAT | O_APPEND, 0600);
        if (out < 0 || write(out, line, (size_t)length) != length) return 3;
        close(out);
    }
    for (;;) pause();
}
