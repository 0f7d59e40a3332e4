/* SPDX-License-Identifier: Apache-2.0 */
#include "client/descriptors.h"

#include <sys/stat.h>

struct descriptor *descriptors_find(struct descriptors *descriptors, int fd)
{
	for (uint32_t i = 0; i < descriptors->count; i++) {
		if (descriptors->list[i].fd == fd) {
			return &descriptors->list[i];
		}
	}
	return NULL;
}

bool descriptors_add(struct descriptors *descriptors, int fd)
{
	struct stat info;
	if (fstat(fd, &info) != 0) {
		return false;
	}
	struct descriptor *descriptor = descriptors_find(descriptors, fd);
	if (descriptor == NULL) {
		if (descriptors->count == DESCRIPTORS_MAX) {
			return false;
		}
		descriptor = &descriptors->list[descriptors->count++];
	}
	*descriptor = (struct descriptor){ .fd = fd, .device = info.st_dev, .inode = info.st_ino };
	return true;
}

void descriptors_remove(struct descriptors *descriptors, int fd)
{
	struct descriptor *descriptor = descriptors_find(descriptors, fd);
	if (descriptor != NULL) {
		*descriptor = descriptors->list[--descriptors->count];
	}
}

bool descriptor_is_ours(const struct descriptor *descriptor)
{
	struct stat info;
	return fstat(descriptor->fd, &info) == 0 && info.st_dev == descriptor->device &&
	       info.st_ino == descriptor->inode;
}

bool descriptors_are_ours(const struct descriptors *descriptors)
{
	for (uint32_t i = 0; i < descriptors->count; i++) {
		if (!descriptor_is_ours(&descriptors->list[i])) {
			return false;
		}
	}
	return true;
}
