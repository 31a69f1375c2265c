// Makes every sync of a process take longer, by SLOW_SYNC_MS milliseconds: for LD_PRELOAD.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

static int slowly(const char *name, int handle) {
    int (*sync)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    const char *text = getenv("SLOW_SYNC_MS");
    long ms = text == NULL ? 0 : atol(text);
    struct timespec pause = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&pause, NULL);
    return sync(handle);
}

int fsync(int handle) { return slowly("fsync", handle); }

int fdatasync(int handle) { return slowly("fdatasync", handle); }
