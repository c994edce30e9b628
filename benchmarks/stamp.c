/* The trivial child: stamps the monotonic clock the moment it runs, and waits to be killed.
   `PROGRAM --version` plays a Node. With STAMP_BECOMES it then becomes that program: regrow replaces at once only
   what has served, so its child goes on as the tests' scripted gateway. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int stamp(const struct timespec *now) {
    const char *file = getenv("STAMP_FILE");
    if (!file) return 0;
    char line[64];
    int length = snprintf(line, sizeof line, "%d %ld.%09ld\n", (int)getpid(), (long)now->tv_sec, now->tv_nsec);
    int out = open(file, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (out < 0 || write(out, line, (size_t)length) != length) return 3;
    return close(out);
}

int main(int argc, char **argv) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (argc == 2 && !strcmp(argv[1], "--version")) {
        puts("v24.19.0");
        return 0;
    }
    if ((argc <= 3 || !strcmp(argv[3], "run")) && stamp(&now)) return 3;
    const char *become = getenv("STAMP_BECOMES");
    if (become) {
        argv[0] = (char *)become;
        execv(become, argv);
        return 4;
    }
    for (;;) pause();
}
