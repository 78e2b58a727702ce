/* Loaded before the C library (LD_PRELOAD): writes to files of one folder fail as a control file says.
 *
 * FAILING_DISK_FOLDER   the folder
 * FAILING_DISK_CONTROL  a file whose content is the number of the error; absent: nothing fails
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static int control(void) {
    static int (*real)(const char *, int, ...);
    if (!real) real = dlsym(RTLD_NEXT, "open");
    const char *path = getenv("FAILING_DISK_CONTROL");
    char text[16] = {0};
    if (!path) return 0;
    int kept = errno, file = real(path, O_RDONLY);
    if (file >= 0) {
        if (read(file, text, sizeof text - 1) < 0) text[0] = 0;
        close(file);
    }
    errno = kept;
    return atoi(text);
}

static int inside(const char *path) {
    const char *folder = getenv("FAILING_DISK_FOLDER");
    return folder && strncmp(path, folder, strlen(folder)) == 0;
}

static int fails(int file) {
    char link[64], path[PATH_MAX + 1];
    int error = control();
    if (!error) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    int kept = errno;
    ssize_t length = readlink(link, path, PATH_MAX);
    errno = kept;
    if (length < 0) return 0;
    path[length] = 0;
    if (!inside(path)) return 0;
    errno = error;
    return 1;
}

#define WRITING(name, result, declared, given)                                                                 \
    result name declared {                                                                                     \
        static result(*real) declared;                                                                         \
        if (!real) real = dlsym(RTLD_NEXT, #name);                                                             \
        return fails(file) ? -1 : real given;                                                                  \
    }

WRITING(write, ssize_t, (int file, const void *data, size_t size), (file, data, size))
WRITING(pwrite, ssize_t, (int file, const void *data, size_t size, off_t at), (file, data, size, at))
WRITING(pwrite64, ssize_t, (int file, const void *data, size_t size, off64_t at), (file, data, size, at))
WRITING(ftruncate, int, (int file, off_t size), (file, size))
WRITING(ftruncate64, int, (int file, off64_t size), (file, size))
WRITING(fsync, int, (int file), (file))
WRITING(fdatasync, int, (int file), (file))

#define OPENING(name)                                                                                          \
    int name(const char *path, int flags, ...) {                                                               \
        static int (*real)(const char *, int, ...);                                                            \
        if (!real) real = dlsym(RTLD_NEXT, #name);                                                             \
        va_list more;                                                                                          \
        va_start(more, flags);                                                                                 \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;                                \
        va_end(more);                                                                                          \
        int error = flags & O_CREAT && inside(path) ? control() : 0;                                           \
        if (error) {                                                                                           \
            errno = error;                                                                                     \
            return -1;                                                                                         \
        }                                                                                                      \
        return real(path, flags, mode);                                                                        \
    }

OPENING(open)
OPENING(open64)
