/* Runs a fuzz target over files and folders without a fuzzer, so that every corpus is a regression test in any build.
 * Says how much it ran, and fails when that was nothing: an empty corpus proves nothing. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct { size_t inputs, bytes; } done;

static int run_file(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) {
        perror(path);
        return -1;
    }
    uint8_t *data = NULL;
    size_t size = 0, got;
    uint8_t block[65536];
    while ((got = fread(block, 1, sizeof(block), file)) > 0) {
        data = realloc(data, size + got);
        if (!data) abort();
        memcpy(data + size, block, got);
        size += got;
    }
    int failed = ferror(file) ? -1 : 0;
    fclose(file);
    if (failed) {
        fprintf(stderr, "%s: cannot be read\n", path);
    } else {
        /* An exact block of its own, also for nothing, so that a sanitizer sees reads past the end. */
        uint8_t *exact = malloc(size ? size : 1);
        if (!exact) abort();
        if (size > 0) memcpy(exact, data, size);
        LLVMFuzzerTestOneInput(exact, size);
        free(exact);
        done.inputs++;
        done.bytes += size;
    }
    free(data);
    return failed;
}

static int run_path(const char *path);

static int run_folder(const char *path) {
    struct dirent **entries;
    int count = scandir(path, &entries, NULL, alphasort);
    int failed = count < 0 ? -1 : 0;
    if (failed) perror(path);
    for (int i = 0; i < count; i++) {
        char inside[4096];
        int length = snprintf(inside, sizeof(inside), "%s/%s", path, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.' && length > 0 && (size_t)length < sizeof(inside) && run_path(inside) != 0)
            failed = -1;
        free(entries[i]);
    }
    if (count >= 0) free(entries);
    return failed;
}

static int run_path(const char *path) {
    struct stat status;
    if (stat(path, &status) != 0) {
        perror(path);
        return -1;
    }
    return S_ISDIR(status.st_mode) ? run_folder(path) : run_file(path);
}

int main(int argc, char **argv) {
    int failed = 0;
    if (argc < 2) fprintf(stderr, "usage: %s FILE-OR-FOLDER...\n", argv[0]);
    for (int i = 1; i < argc; i++)
        if (run_path(argv[i]) != 0) failed = 1;
    printf("%zu inputs, %zu bytes\n", done.inputs, done.bytes);
    return failed || done.inputs == 0 ? 1 : 0;
}
