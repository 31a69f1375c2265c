// Makes every sync of a process take longer, by SLOW_SYNC_MS milliseconds: for LD_PRELOAD.
// Declares what it needs itself: a compiler is enough, the C library's headers need not be there.
extern void *dlsym(void *handle, const char *name);
extern char *getenv(const char *name);
extern int atoi(const char *text);
extern int usleep(unsigned microseconds);
#define RTLD_NEXT ((void *)-1L)

static int slowly(const char *name, int handle) {
    int (*sync)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    const char *text = getenv("SLOW_SYNC_MS");
    if (text)
        usleep(1000u * (unsigned)atoi(text));
    return sync(handle);
}

int fsync(int handle) { return slowly("fsync", handle); }

int fdatasync(int handle) { return slowly("fdatasync", handle); }
