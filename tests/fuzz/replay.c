// SPDX-License-Identifier: Apache-2.0
// Goal: every kept input of a fuzz target still passes, in the ordinary test run and under the sanitizers.
// Method: feed each file of the folder named on the command line to the target, each in a block of its exact size, and
// the empty input before them; an empty folder is a failure.
#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz.h"

#define INPUT_BYTES_MAX (16U << 20)

// Returns 1 when the file was an input, 0 when it cannot be read as one.
static int replay_file(const char *folder, const char *name)
{
    char path[4096];
    int length = snprintf(path, sizeof(path), "%s/%s", folder, name);
    FUZZ_CHECK(length > 0 && (size_t) length < sizeof(path));
    struct stat info;
    FILE *file = fopen(path, "rb");
    if (file == NULL || stat(path, &info) != 0 || !S_ISREG(info.st_mode) ||
        info.st_size > INPUT_BYTES_MAX) {
        (void) fprintf(stderr, "cannot replay %s\n", path);
        if (file != NULL) {
            (void) fclose(file);
        }
        return 0;
    }
    size_t size = (size_t) info.st_size;
    uint8_t *data = malloc(size == 0 ? 1 : size);
    FUZZ_CHECK(data != NULL);
    FUZZ_CHECK(fread(data, 1, size, file) == size);
    (void) fclose(file);
    (void) fprintf(stderr, "%s\n", path); // so that a crash names its input
    (void) LLVMFuzzerTestOneInput(data, size);
    free(data);
    return 1;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        (void) fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    DIR *folder = opendir(argv[1]);
    if (folder == NULL) {
        (void) fprintf(stderr, "cannot open %s\n", argv[1]);
        return 1;
    }
    (void) LLVMFuzzerTestOneInput((const uint8_t *) "", 0);
    int failed = 0;
    int count = 0;
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        if (entry->d_name[0] != '.') {
            int done = replay_file(argv[1], entry->d_name);
            count += done;
            failed += 1 - done;
        }
    }
    (void) closedir(folder);
    printf("%d inputs replayed\n", count);
    return count == 0 || failed != 0;
}
