/* The heap as the libraries see it: the linker sends their calls here (see CMakeLists.txt). */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#ifdef WEIR_JEMALLOC
#include <jemalloc/jemalloc.h>
#endif
#include <jansson.h>

#include "faults.h"
#include "ledger.h"

#define SITE __builtin_return_address(0)

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_realloc(void *memory, size_t size);
char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void __real_free(void *memory);
void __wrap_free(void *memory);
void *__real_mmap(void *address, size_t size, int protection, int flags, int descriptor, off_t offset);
void *__wrap_mmap(void *address, size_t size, int protection, int flags, int descriptor, off_t offset);
int __real_munmap(void *address, size_t size);
int __wrap_munmap(void *address, size_t size);
int __real_madvise(void *address, size_t size, int advice);
int __wrap_madvise(void *address, size_t size, int advice);

void *__wrap_malloc(size_t size) {
    if (fault_now(CALL_MALLOC, SITE)) return NULL;
    void *block = __real_malloc(size);
    ledger_add(block, size);
    return block;
}

void *__wrap_calloc(size_t count, size_t size) {
    if (fault_now(CALL_CALLOC, SITE)) return NULL;
    void *block = __real_calloc(count, size);
    ledger_add(block, count * size);
    return block;
}

void *__wrap_realloc(void *memory, size_t size) {
    if (fault_now(CALL_REALLOC, SITE)) return NULL;
    ledger_remove(memory);
    void *block = __real_realloc(memory, size);
    ledger_add(block != NULL ? block : memory, size);
    return block;
}

char *__wrap_strdup(const char *text) {
    if (fault_now(CALL_STRDUP, SITE)) return NULL;
    char *copy = __real_strdup(text);
    ledger_add(copy, strlen(text) + 1);
    return copy;
}

void *__wrap_aligned_alloc(size_t alignment, size_t size) {
    if (fault_now(CALL_ALIGNED, SITE)) return NULL;
    void *block = __real_aligned_alloc(alignment, size);
    ledger_add(block, size);
    return block;
}

void __wrap_free(void *memory) {
    ledger_remove(memory);
    __real_free(memory);
}

void *__wrap_mmap(void *address, size_t size, int protection, int flags, int descriptor, off_t offset) {
    if (fault_now(CALL_MMAP, SITE)) return MAP_FAILED;
    void *pages = __real_mmap(address, size, protection, flags, descriptor, offset);
    if (pages != MAP_FAILED) ledger_add(pages, size);
    return pages;
}

int __wrap_munmap(void *address, size_t size) {
    ledger_remove(address);
    return __real_munmap(address, size);
}

int __wrap_madvise(void *address, size_t size, int advice) {
    return fault_now(CALL_MADVISE, SITE) ? -1 : __real_madvise(address, size, advice);
}

static void *json_allocate(size_t size) {
    if (fault_now(CALL_JSON, SITE)) return NULL;
    void *block = __real_malloc(size);
    ledger_add(block, size);
    return block;
}

static void json_release(void *block) {
    ledger_remove(block);
    __real_free(block);
}

void torture_wrap_jansson(void) {
    json_set_alloc_funcs(json_allocate, json_release);
}

#ifdef WEIR_JEMALLOC

void *__real_mallocx(size_t size, int flags);
void *__wrap_mallocx(size_t size, int flags);
void __real_sdallocx(void *memory, size_t size, int flags);
void __wrap_sdallocx(void *memory, size_t size, int flags);
int __real_mallctl(const char *name, void *old, size_t *old_size, void *new, size_t new_size);
int __wrap_mallctl(const char *name, void *old, size_t *old_size, void *new, size_t new_size);

void *__wrap_mallocx(size_t size, int flags) {
    if (fault_now(CALL_MALLOCX, SITE)) return NULL;
    void *block = __real_mallocx(size, flags);
    ledger_add(block, size);
    return block;
}

void __wrap_sdallocx(void *memory, size_t size, int flags) {
    ledger_remove(memory);
    __real_sdallocx(memory, size, flags);
}

int __wrap_mallctl(const char *name, void *old, size_t *old_size, void *new, size_t new_size) {
    return fault_now(CALL_MALLCTL, SITE) ? ENOMEM : __real_mallctl(name, old, old_size, new, new_size);
}

#endif
