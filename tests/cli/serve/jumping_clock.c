// A clock for LD_PRELOAD: the wall clock goes an hour forth and back every 8 ms, the others go on.
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec* now) {
  const long result = syscall(SYS_clock_gettime, clock, now);
  if (result == 0 && clock == CLOCK_REALTIME) {
    now->tv_sec += now->tv_nsec / 8000000 % 2 == 0 ? 3600 : -3600;
  }
  return (int)result;
}
