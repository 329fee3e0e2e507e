/* What the compiler and the processor give us, by name. */
#ifndef WEIR_BASE_PLATFORM_H
#define WEIR_BASE_PLATFORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Two lines are fetched together on current x86, but one is what a store takes from another core. */
#define CACHE_LINE    64
#define CACHE_ALIGNED __attribute__((aligned(CACHE_LINE)))

#define LIKELY(condition)   __builtin_expect(!!(condition), 1)
#define UNLIKELY(condition) __builtin_expect(!!(condition), 0)

/* Asks for a line to own, not only to see. The builtin alone asks to see it where the compiler is not told of a newer
 * processor; the instruction is a hint that every x86-64 takes, if only as nothing. */
static inline void prefetch_for_write(const void *address) {
#if defined(__x86_64__)
    __asm__ volatile("prefetchw %0" : : "m"(*(const char *)address));
#else
    __builtin_prefetch(address, 1);
#endif
}

/* Out of the way of the straight path, so that the hot function stays small. */
#define COLD __attribute__((noinline, cold))

#if defined(__SANITIZE_THREAD__)
#define WEIR_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WEIR_TSAN 1
#endif
#endif

#endif
