/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Elements of BPF maps by system call. While a task is within one, the kernel runs no program of
 * kprobe.multi on that CPU (bpf_disable_instrumentation), and on a preemptible kernel the task may
 * be preempted there: what others read and write meanwhile is missed. A real-time task is not.
 */
#ifndef NOTAIL_CAPTURE_MAPS_H
#define NOTAIL_CAPTURE_MAPS_H

#include <stdint.h>

/*
 * From now on nobody preempts these calls, but for real-time tasks and where this process may not
 * ask for that. Before there are other threads that make them; costs two system calls more each.
 */
void maps__undisturbed(void);
/* As the functions of libbpf: 0 or -errno, which is in errno too. */
int map__lookup(int fd, const void *key, void *ret_value);
int map__update(int fd, const void *key, const void *value, uint64_t flags);
int map__delete(int fd, const void *key);

#endif
