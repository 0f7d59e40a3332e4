/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors that may be closed, and their numbers taken, behind our back.
 *
 * A descriptor is remembered with the inode of what it stood for. No two sockets or pipes that are
 * open at the same time have the same one, so it tells whether the number still means the same. One
 * thread at a time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define DESCRIPTORS_MAX 32

struct descriptor {
	int fd;
	short events;      /* what poll() is to wait for; 0: nothing */
	const void *owner; /* whose it is; only compared */
	bool is_kept;      /* until it is closed, even while nobody waits for it */
	dev_t device;
	ino_t inode;
};

struct descriptors {
	struct descriptor list[DESCRIPTORS_MAX];
	uint32_t count;
};

/* False when there is no room, or @fd is not open. Known already: only remembered anew. */
bool descriptors_add(struct descriptors *descriptors, int fd);
void descriptors_remove(struct descriptors *descriptors, int fd);

/* NULL when it is not known. */
struct descriptor *descriptors_find(struct descriptors *descriptors, int fd);

bool descriptor_is_ours(const struct descriptor *descriptor);

/* Is every one of them still what it was? */
bool descriptors_are_ours(const struct descriptors *descriptors);
