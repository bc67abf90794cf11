/*
 * Makes the calls by which the store reads and writes fail, when a test says so.
 *
 * To be loaded before the C library (LD_PRELOAD). The directory that FAILING names holds the orders, each a file:
 *
 *   pread, pwrite, writev, fdatasync, fsync, sync_file_range   the next such call fails, and the order is taken away
 *   pread.always, ...                                  every such call fails for as long as the file is there
 *
 * A number in the file is how many calls of that kind the process has to have made before.
 *
 *   pread.bad                                          every pread fails that touches the 4096 bytes from the place that
 *                                                      the number says, as from a disk with a bad sector
 *
 * A call fails with EIO; a write has written the first half of its bytes by then. Nothing but the store makes these calls
 * in the daemon.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

struct calls {
    const char *name;
    unsigned made;
};

/* Writes the path of an order, and gives its number; -1 when there is none. */
static long long order(char *path, size_t size, const char *call, const char *kind)
{
    const char *orders = getenv("FAILING");
    char text[24];
    ssize_t length;
    int file;

    if (orders == NULL)
        return -1;
    snprintf(path, size, "%s/%s%s", orders, call, kind);
    file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return -1;
    length = read(file, text, sizeof text - 1);
    close(file);
    text[length > 0 ? length : 0] = '\0';
    return strtoll(text, NULL, 10);
}

static bool must_fail(struct calls *calls)
{
    unsigned made = __atomic_add_fetch(&calls->made, 1, __ATOMIC_RELAXED);
    int before = errno;
    char path[4096];
    long long after = order(path, sizeof path, calls->name, "");
    /* Whoever takes the order away is the one that fails by it. */
    bool fails = after >= 0 && made > after && unlink(path) == 0;

    if (!fails) {
        after = order(path, sizeof path, calls->name, ".always");
        fails = after >= 0 && made > after;
    }
    errno = fails ? EIO : before;
    return fails;
}

static bool touches_bad_sector(off64_t offset, size_t size)
{
    int before = errno;
    char path[4096];
    long long bad = order(path, sizeof path, "pread", ".bad");
    bool touches = bad >= 0 && offset < bad + 4096 && bad < offset + (off64_t)size;

    errno = touches ? EIO : before;
    return touches;
}

ssize_t pread64(int file, void *bytes, size_t size, off64_t offset)
{
    static struct calls calls = {"pread", 0};

    return must_fail(&calls) || touches_bad_sector(offset, size) ? -1 : REAL(pread64)(file, bytes, size, offset);
}

ssize_t pwrite64(int file, const void *bytes, size_t size, off64_t offset)
{
    static struct calls calls = {"pwrite", 0};

    if (!must_fail(&calls))
        return REAL(pwrite64)(file, bytes, size, offset);
    REAL(pwrite64)(file, bytes, size / 2, offset);
    errno = EIO;
    return -1;
}

ssize_t writev(int file, const struct iovec *parts, int count)
{
    static struct calls calls = {"writev", 0};
    struct stat status;

    /* Connections are written to like this as well. */
    if (fstat(file, &status) || !S_ISREG(status.st_mode) || !must_fail(&calls))
        return REAL(writev)(file, parts, count);
    REAL(writev)(file, parts, 1);
    errno = EIO;
    return -1;
}

int fdatasync(int file)
{
    static struct calls calls = {"fdatasync", 0};

    return must_fail(&calls) ? -1 : REAL(fdatasync)(file);
}

int fsync(int file)
{
    static struct calls calls = {"fsync", 0};

    return must_fail(&calls) ? -1 : REAL(fsync)(file);
}

int sync_file_range(int file, off64_t offset, off64_t size, unsigned flags)
{
    static struct calls calls = {"sync_file_range", 0};

    return must_fail(&calls) ? -1 : REAL(sync_file_range)(file, offset, size, flags);
}
