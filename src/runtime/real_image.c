// SPDX-License-Identifier: Apache-2.0
// The pages of the program and of its libraries. Starting touches many that are never used again: initialisers, tables of relocations, libraries
// that only some commands need.
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/process.h"

// Only what was never written is let go: the next access reads it from the file again.
static int on_object(struct dl_phdr_info *info, size_t size, void *page_bytes)
{
    (void) size;
    size_t page = *(const size_t *) page_bytes;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        if (part->p_type == PT_LOAD && (part->p_flags & PF_W) == 0) {
            uintptr_t begin = (info->dlpi_addr + part->p_vaddr) / page * page;
            uintptr_t end = info->dlpi_addr + part->p_vaddr + part->p_filesz;
            // NOLINTNEXTLINE(performance-no-int-to-ptr): addresses of the loader
            (void) madvise((void *) begin, end - begin, MADV_DONTNEED);
        }
    }
    return 0;
}

void pg_process_unmap_unused(void)
{
    size_t page = (size_t) sysconf(_SC_PAGESIZE);
    (void) dl_iterate_phdr(on_object, &page);
}
