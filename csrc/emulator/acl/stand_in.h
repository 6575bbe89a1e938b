/*
 * What the stand-in runtime offers beyond the Ascend runtime's own interface: to the kernel library
 * that runs on it, and to tests. A real runtime has none of these, which is how to tell them apart.
 */
#ifndef NEUMANN_TRIL_STAND_IN_H
#define NEUMANN_TRIL_STAND_IN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One line that says what this is. */
const char* nt_acl_stand_in(void);

/*
 * Puts `run(argument, text, size)` on a stream. A result other than 0 becomes the stream's error,
 * with the text that `run` wrote into the `size` bytes at `text`.
 */
void nt_acl_enqueue(void* stream, int (*run)(void* argument, char* text, size_t size),
                    void* argument);

/* Calls `visit` with every block of device memory, of every device. */
void nt_acl_device_memory(void (*visit)(void* user, void* base, size_t bytes), void* user);

/* Calls so far in which the host waited for a device: synchronisations and synchronous copies. */
int64_t nt_acl_host_waits(void);

#ifdef __cplusplus
}
#endif

#endif /* NEUMANN_TRIL_STAND_IN_H */
