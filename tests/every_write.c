/* Counts what a process does to files under one folder, and strikes at the operation it is told to.

   For LD_PRELOAD: Python, numpy, zarr, HDF5, arrow and safetensors all write through libc. What is
   counted lies in shared memory, so that a parent reads it when its child is dead. */
#define _GNU_SOURCE
#undef _FORTIFY_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { COUNT, KILL_BEFORE, KILL_AFTER, FAIL_ONCE, FAIL_FROM, SHORT, SIGNAL };

/* What takes room on a disk fails when it is full; what frees some does not. */
enum { TAKES, FREES };

struct state { long count, struck; int mode; long at; int error; char under[4096]; char last[4200]; };
static struct state *now;

void every_arm(const char *under, int mode, long at, int error) {
    if (!now)
        now = mmap(NULL, sizeof *now, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    now->mode = -1;
    strncpy(now->under, under, sizeof now->under - 1);
    now->count = now->struck = 0, now->at = at, now->error = error, now->last[0] = 0;
    now->mode = mode;
}
void every_disarm(void) { if (now) now->mode = -1; }
long every_count(void) { return now ? now->count : 0; }
long every_struck(void) { return now ? now->struck : 0; }
const char *every_last(void) { return now ? now->last : ""; }

static int inside(const char *path) {
    size_t n = strlen(now->under);
    return !strncmp(path, now->under, n) && (path[n] == 0 || path[n] == '/' || path[n] == '.');
}

static void die(void) { kill(getpid(), SIGKILL); for (;;) pause(); }

/* Returns 0 to go on, 1 to fail with errno set, 2 to do half of it; *after: to die when it is done. */
static int strike(const char *what, const char *path, int takes, int *after) {
    *after = 0;
    if (!now || now->mode < 0 || !inside(path)) return 0;
    long k = __atomic_add_fetch(&now->count, 1, __ATOMIC_SEQ_CST);
    int mode = now->mode;
    if (mode == FAIL_FROM ? k < now->at : k != now->at) return 0;
    if (k == now->at) snprintf(now->last, sizeof now->last, "%s %s", what, path);
    if (mode == KILL_BEFORE) die();
    if (mode == KILL_AFTER) { *after = 1; return 2; }
    if (mode == SHORT) return 2;
    if (mode == SIGNAL) kill(getpid(), now->error);
    if (mode == FAIL_FROM && (now->error == ENOSPC || now->error == EDQUOT) && takes != TAKES) return 0;
    if (mode == FAIL_ONCE || mode == FAIL_FROM) {
        __atomic_add_fetch(&now->struck, 1, __ATOMIC_SEQ_CST);
        errno = now->error;
        return 1;
    }
    return 0;
}

static void name_of(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, 4095);
    path[n < 0 ? 0 : n] = 0;
}

static void full(int dir, const char *given, char *path) {
    if (given[0] == '/') { snprintf(path, 4096, "%s", given); return; }
    char folder[4096];
    if (dir == AT_FDCWD) { if (!getcwd(folder, sizeof folder)) folder[0] = 0; }
    else name_of(dir, folder);
    snprintf(path, 4096, "%.2000s/%.2000s", folder, given);
}

#define REAL(result, name, ...) \
    static result (*real)(__VA_ARGS__); \
    if (!real) real = dlsym(RTLD_NEXT, #name)
#define AT_PATH(what, dir, given, takes) \
    char path[4096]; int after; full(dir, given, path); \
    if (strike(what, path, takes, &after) == 1) return -1
#define AT_FILE(what, fd, takes) \
    char path[4096]; int after = 0, how = 0; \
    if (now && now->mode >= 0) { name_of(fd, path); how = strike(what, path, takes, &after); } \
    if (how == 1) return -1
#define DONE(call) do { __auto_type done = (call); if (after) die(); return done; } while (0)

#define OPEN(name) int name(const char *given, int flags, ...) { \
    REAL(int, name, const char *, int, ...); \
    va_list rest; va_start(rest, flags); mode_t mode = va_arg(rest, int); va_end(rest); \
    if (!(flags & (O_WRONLY | O_RDWR))) return real(given, flags, mode); \
    AT_PATH("open", AT_FDCWD, given, TAKES); DONE(real(given, flags, mode)); }
OPEN(open)
OPEN(open64)

#define OPENAT(name) int name(int dir, const char *given, int flags, ...) { \
    REAL(int, name, int, const char *, int, ...); \
    va_list rest; va_start(rest, flags); mode_t mode = va_arg(rest, int); va_end(rest); \
    if (!(flags & (O_WRONLY | O_RDWR))) return real(dir, given, flags, mode); \
    AT_PATH("open", dir, given, TAKES); DONE(real(dir, given, flags, mode)); }
OPENAT(openat)
OPENAT(openat64)

ssize_t write(int fd, const void *data, size_t n) {
    REAL(ssize_t, write, int, const void *, size_t);
    AT_FILE("write", fd, TAKES);
    DONE(real(fd, data, how == 2 && n > 1 ? n / 2 : n));
}
#define PWRITE(name) ssize_t name(int fd, const void *data, size_t n, off_t where) { \
    REAL(ssize_t, name, int, const void *, size_t, off_t); \
    AT_FILE("write", fd, TAKES); DONE(real(fd, data, how == 2 && n > 1 ? n / 2 : n, where)); }
PWRITE(pwrite)
PWRITE(pwrite64)
ssize_t writev(int fd, const struct iovec *parts, int n) {
    REAL(ssize_t, writev, int, const struct iovec *, int);
    AT_FILE("write", fd, TAKES);
    DONE(real(fd, parts, how == 2 && n > 1 ? n / 2 : n));
}
#define SENDFILE(name) ssize_t name(int to, int from, off_t *where, size_t n) { \
    REAL(ssize_t, name, int, int, off_t *, size_t); \
    AT_FILE("write", to, TAKES); DONE(real(to, from, where, how == 2 && n > 1 ? n / 2 : n)); }
SENDFILE(sendfile)
SENDFILE(sendfile64)
ssize_t copy_file_range(int from, off_t *start, int to, off_t *where, size_t n, unsigned flags) {
    REAL(ssize_t, copy_file_range, int, off_t *, int, off_t *, size_t, unsigned);
    AT_FILE("write", to, TAKES);
    DONE(real(from, start, to, where, how == 2 && n > 1 ? n / 2 : n, flags));
}
#define FSYNC(name) int name(int fd) { \
    REAL(int, name, int); AT_FILE("fsync", fd, TAKES); DONE(real(fd)); }
FSYNC(fsync)
FSYNC(fdatasync)
#define FTRUNCATE(name) int name(int fd, off_t n) { \
    REAL(int, name, int, off_t); AT_FILE("truncate", fd, TAKES); DONE(real(fd, n)); }
FTRUNCATE(ftruncate)
FTRUNCATE(ftruncate64)

int mkdir(const char *given, mode_t mode) {
    REAL(int, mkdir, const char *, mode_t);
    AT_PATH("mkdir", AT_FDCWD, given, TAKES);
    DONE(real(given, mode));
}
int mkdirat(int dir, const char *given, mode_t mode) {
    REAL(int, mkdirat, int, const char *, mode_t);
    AT_PATH("mkdir", dir, given, TAKES);
    DONE(real(dir, given, mode));
}
int rmdir(const char *given) {
    REAL(int, rmdir, const char *);
    AT_PATH("rmdir", AT_FDCWD, given, FREES);
    DONE(real(given));
}
int unlink(const char *given) {
    REAL(int, unlink, const char *);
    AT_PATH("unlink", AT_FDCWD, given, FREES);
    DONE(real(given));
}
int unlinkat(int dir, const char *given, int flags) {
    REAL(int, unlinkat, int, const char *, int);
    AT_PATH("unlink", dir, given, FREES);
    DONE(real(dir, given, flags));
}
int rename(const char *given, const char *to) {
    REAL(int, rename, const char *, const char *);
    AT_PATH("rename", AT_FDCWD, given, FREES);
    DONE(real(given, to));
}
int renameat(int dir, const char *given, int there, const char *to) {
    REAL(int, renameat, int, const char *, int, const char *);
    AT_PATH("rename", dir, given, FREES);
    DONE(real(dir, given, there, to));
}
int link(const char *given, const char *to) {
    REAL(int, link, const char *, const char *);
    AT_PATH("link", AT_FDCWD, to, TAKES);
    DONE(real(given, to));
}
int linkat(int dir, const char *given, int there, const char *to, int flags) {
    REAL(int, linkat, int, const char *, int, const char *, int);
    AT_PATH("link", there, to, TAKES);
    DONE(real(dir, given, there, to, flags));
}
int symlink(const char *given, const char *to) {
    REAL(int, symlink, const char *, const char *);
    AT_PATH("symlink", AT_FDCWD, to, TAKES);
    DONE(real(given, to));
}
