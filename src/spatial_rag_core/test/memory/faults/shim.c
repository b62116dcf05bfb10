/*
 * A disk that fails on command, preloaded into a process that writes memory files.
 *
 * Every call that changes a file whose path contains a given name is counted; those from the
 * first to the last armed one fail with the given errno, as a full, read-only or broken disk
 * would make them. On request all of them are written down, so that a power cut can be acted out.
 *
 *   gcc -shared -fPIC -O1 -o shim.so shim.c -ldl
 *   LD_PRELOAD=shim.so python …   and then, through ctypes: shim_arm("memory.db", 7, 7, ENOSPC, 0)
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WROTE = 1, SYNCED = 2, CUT = 3, RENAMED = 4, REMOVED = 5, MARKED = 6 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char wanted[PATH_MAX];
static long count, first, last, failed;
static int error_number, writes_half, trace = -1;

#define REAL(type, name, ...) \
  static type (*real)(__VA_ARGS__); \
  if (!real) *(void **)&real = dlsym(RTLD_NEXT, #name)

/* Exported: from now on count calls on files with `name` in their path, and fail first..last. */
void shim_arm(const char *name, long from, long to, int error, int half)
{
  pthread_mutex_lock(&lock);
  snprintf(wanted, sizeof wanted, "%s", name);
  count = failed = 0;
  first = from;
  last = to;
  error_number = error;
  writes_half = half;
  pthread_mutex_unlock(&lock);
}

long shim_count(void) { return count; }
long shim_failed(void) { return failed; }

/* 0: let it through; 1: fail with errno; 2: write half of it. */
static int verdict(const char *path, int is_write)
{
  int answer = 0;
  if (!wanted[0] || !strstr(path, wanted)) return 0;
  pthread_mutex_lock(&lock);
  ++count;
  if (first <= count && count <= last) {
    answer = writes_half && is_write && count == first ? 2 : 1;
    ++failed;
  }
  pthread_mutex_unlock(&lock);
  if (answer == 1) errno = error_number;
  return answer;
}

static const char *path_of(int file, char *buffer)
{
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t length = readlink(link, buffer, PATH_MAX - 1);
  buffer[length < 0 ? 0 : length] = 0;
  return buffer;
}

struct head { uint32_t what, path_size; int64_t offset, size; };

static void put(const void *bytes, size_t size)
{
  while (size) {
    long wrote = syscall(SYS_write, trace, bytes, size);
    if (wrote <= 0) return;
    bytes = (const char *)bytes + wrote;
    size -= wrote;
  }
}

static void note(int what, const char *path, int64_t offset, const void *bytes, int64_t size)
{
  if (trace < 0 || !wanted[0] || !strstr(path, wanted)) return;
  struct head head = {what, strlen(path), offset, size};
  pthread_mutex_lock(&lock);
  put(&head, sizeof head);
  put(path, head.path_size);
  if (bytes) put(bytes, size);
  pthread_mutex_unlock(&lock);
}

/* Exported: write all that is done from now on to this file; an empty name ends it. */
void shim_trace(const char *path)
{
  if (trace >= 0) syscall(SYS_close, trace);
  trace = path[0] ? syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND, 0600) : -1;
}

/* Exported: put a number between the calls of the trace. */
void shim_mark(long number) { note(MARKED, wanted, number, 0, 0); }

static ssize_t written(int file, const void *bytes, ssize_t result, off_t offset)
{
  char path[PATH_MAX];
  if (result > 0 && trace >= 0) note(WROTE, path_of(file, path), offset, bytes, result);
  return result;
}

ssize_t write(int file, const void *bytes, size_t size)
{
  char path[PATH_MAX];
  REAL(ssize_t, write, int, const void *, size_t);
  if (!wanted[0]) return real(file, bytes, size);
  switch (verdict(path_of(file, path), 1)) {
    case 1: return -1;
    case 2: size = (size + 1) / 2;
  }
  off_t offset = trace < 0 ? 0 : lseek(file, 0, SEEK_CUR);
  return written(file, bytes, real(file, bytes, size), offset);
}

ssize_t pwrite64(int file, const void *bytes, size_t size, off64_t offset)
{
  char path[PATH_MAX];
  REAL(ssize_t, pwrite64, int, const void *, size_t, off64_t);
  switch (verdict(path_of(file, path), 1)) {
    case 1: return -1;
    case 2: size = (size + 1) / 2;
  }
  return written(file, bytes, real(file, bytes, size, offset), offset);
}

ssize_t pwrite(int file, const void *bytes, size_t size, off_t offset)
{
  return pwrite64(file, bytes, size, offset);
}

ssize_t writev(int file, const struct iovec *parts, int n)
{
  char path[PATH_MAX];
  REAL(ssize_t, writev, int, const struct iovec *, int);
  return verdict(path_of(file, path), 0) ? -1 : real(file, parts, n);
}

ssize_t sendfile64(int to, int from, off64_t *offset, size_t size)
{
  char path[PATH_MAX];
  REAL(ssize_t, sendfile64, int, int, off64_t *, size_t);
  return verdict(path_of(to, path), 0) ? -1 : real(to, from, offset, size);
}

ssize_t sendfile(int to, int from, off_t *offset, size_t size)
{
  return sendfile64(to, from, offset, size);
}

ssize_t copy_file_range(int from, off64_t *at, int to, off64_t *where, size_t size, unsigned flags)
{
  char path[PATH_MAX];
  REAL(ssize_t, copy_file_range, int, off64_t *, int, off64_t *, size_t, unsigned);
  return verdict(path_of(to, path), 0) ? -1 : real(from, at, to, where, size, flags);
}

#define SYNC(name) \
  int name(int file) \
  { \
    char path[PATH_MAX]; \
    REAL(int, name, int); \
    if (verdict(path_of(file, path), 0)) return -1; \
    int result = real(file); \
    if (!result) note(SYNCED, path, 0, 0, 0); \
    return result; \
  }
SYNC(fsync)
SYNC(fdatasync)

int ftruncate64(int file, off64_t size)
{
  char path[PATH_MAX];
  REAL(int, ftruncate64, int, off64_t);
  if (verdict(path_of(file, path), 0)) return -1;
  int result = real(file, size);
  if (!result) note(CUT, path, size, 0, 0);
  return result;
}

int ftruncate(int file, off_t size) { return ftruncate64(file, size); }

int fallocate64(int file, int mode, off64_t offset, off64_t size)
{
  char path[PATH_MAX];
  REAL(int, fallocate64, int, int, off64_t, off64_t);
  return verdict(path_of(file, path), 0) ? -1 : real(file, mode, offset, size);
}

int fallocate(int file, int mode, off_t offset, off_t size)
{
  return fallocate64(file, mode, offset, size);
}

int posix_fallocate64(int file, off64_t offset, off64_t size)
{
  char path[PATH_MAX];
  REAL(int, posix_fallocate64, int, off64_t, off64_t);
  return verdict(path_of(file, path), 0) ? error_number : real(file, offset, size);
}

int posix_fallocate(int file, off_t offset, off_t size)
{
  return posix_fallocate64(file, offset, size);
}

int rename(const char *from, const char *to)
{
  REAL(int, rename, const char *, const char *);
  if (verdict(to, 0)) return -1;
  int result = real(from, to);
  if (!result) note(RENAMED, from, strlen(to), to, strlen(to));
  return result;
}

int unlink(const char *path)
{
  REAL(int, unlink, const char *);
  if (verdict(path, 0)) return -1;
  int result = real(path);
  if (!result) note(REMOVED, path, 0, 0, 0);
  return result;
}

/* A call in its own right only where it makes or cuts a file; a read-only disk refuses the rest. */
static int refuses_to_open(const char *path, int flags)
{
  if (flags & O_TRUNC || (flags & O_CREAT && access(path, F_OK))) return verdict(path, 0);
  if ((flags & O_ACCMODE) == O_RDONLY || error_number != EROFS || !wanted[0]) return 0;
  if (!strstr(path, wanted) || count < first || count >= last) return 0;
  errno = EROFS;
  return 1;
}

int open64(const char *path, int flags, ...)
{
  va_list words;
  va_start(words, flags);
  mode_t mode = flags & O_CREAT ? va_arg(words, mode_t) : 0;
  va_end(words);
  if (refuses_to_open(path, flags)) return -1;
  int file = syscall(SYS_openat, AT_FDCWD, path, flags | O_LARGEFILE, mode);
  if (file >= 0 && flags & O_TRUNC) note(CUT, path, 0, 0, 0);
  return file;
}

int open(const char *path, int flags, ...)
{
  va_list words;
  va_start(words, flags);
  mode_t mode = flags & O_CREAT ? va_arg(words, mode_t) : 0;
  va_end(words);
  return open64(path, flags, mode);
}
