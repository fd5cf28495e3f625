/* A disk that breaks, for the program that LD_PRELOAD loads this into, and its children: behind so many bytes, written by
   one process below a directory, every further write there is an input/output error. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_long written;

/* Takes note of bytes that are to be written; returns whether the disk is broken. */
static int is_broken(int file, size_t count) {
    const char *directory = getenv("BROKEN_DISK"), *whole_bytes = getenv("BROKEN_DISK_WHOLE_BYTES");
    char link[64], path[PATH_MAX];
    int before = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    errno = before;
    if (!directory || !whole_bytes || length <= 0) return 0;
    path[length] = 0;
    if (strncmp(path, directory, strlen(directory))) return 0;
    if (atomic_fetch_add(&written, (long)count) + (long)count <= atol(whole_bytes)) return 0;
    errno = EIO;
    return 1;
}

#define WRITES(name, parameters, arguments, count)                                  \
    ssize_t name parameters {                                                       \
        static ssize_t(*original) parameters;                                       \
        if (!original) original = (ssize_t(*) parameters)dlsym(RTLD_NEXT, #name);   \
        return is_broken(file, count) ? -1 : original arguments;                    \
    }

static size_t total(const struct iovec *parts, int number) {
    size_t bytes = 0;
    for (int part = 0; part < number; part++) bytes += parts[part].iov_len;
    return bytes;
}

WRITES(write, (int file, const void *bytes, size_t count), (file, bytes, count), count)
WRITES(pwrite, (int file, const void *bytes, size_t count, off_t at), (file, bytes, count, at), count)
WRITES(pwrite64, (int file, const void *bytes, size_t count, off64_t at), (file, bytes, count, at), count)
WRITES(writev, (int file, const struct iovec *parts, int number), (file, parts, number), total(parts, number))
