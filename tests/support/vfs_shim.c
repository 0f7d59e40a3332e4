/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/vfs_shim.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SECTOR = 512, MAX_FILES = 8 };

struct shim_file {
	sqlite3_file base;
	char name[32];
	bool is_temporary; /* SQLite's own, without a name */
	sqlite3_file *real;
};

static struct {
	sqlite3_vfs vfs;
	sqlite3_vfs *real;
	struct vfs_fault fault;
	bool is_broken;
	uint64_t count;
	uint64_t failures;
	int last_errno;
	bool is_recording;
	struct vfs_event *events;
	size_t event_count;
	size_t event_capacity;
} shim;

static struct shim_file *shim_of(sqlite3_file *file)
{
	return (struct shim_file *)file;
}

/* ---- Faults ---- */

void vfs_shim_break(const struct vfs_fault *fault)
{
	shim.is_broken = fault != NULL;
	shim.count = 0;
	shim.failures = 0;
	if (fault != NULL) {
		shim.fault = *fault;
	}
}

uint64_t vfs_shim_count(void)
{
	return shim.count;
}

uint64_t vfs_shim_failures(void)
{
	return shim.failures;
}

/* Counts an operation. True: it has to fail. */
static bool fails(enum vfs_op op)
{
	if (!shim.is_broken || (shim.fault.ops & op) == 0) {
		return false;
	}
	uint64_t number = shim.count++;
	if (number < shim.fault.after || (number > shim.fault.after && !shim.fault.is_lasting)) {
		return false;
	}
	if (shim.fault.is_kill) {
		(void)raise(SIGKILL);
	}
	shim.failures++;
	shim.last_errno = shim.fault.number;
	return true;
}

/* What the failing operation returns. */
static int failure(enum vfs_op op)
{
	if (shim.fault.rc != SQLITE_IOERR) {
		return shim.fault.rc;
	}
	switch (op) {
	case VFS_OPEN:
		return SQLITE_CANTOPEN;
	case VFS_READ:
		return SQLITE_IOERR_READ;
	case VFS_SYNC:
		return SQLITE_IOERR_FSYNC;
	case VFS_TRUNCATE:
		return SQLITE_IOERR_TRUNCATE;
	case VFS_DELETE:
		return SQLITE_IOERR_DELETE;
	case VFS_WRITE:
	case VFS_ALL_WRITING:
		break;
	}
	return SQLITE_IOERR_WRITE;
}

/* ---- Events ---- */

static void record(enum vfs_event_type type, const char *name, uint64_t offset, const void *bytes,
                   size_t length)
{
	if (!shim.is_recording) {
		return;
	}
	if (shim.event_count == shim.event_capacity) {
		shim.event_capacity = shim.event_capacity == 0 ? 256 : 2 * shim.event_capacity;
		shim.events = reallocarray(shim.events, shim.event_capacity, sizeof(*shim.events));
		assert(shim.events != NULL);
	}
	struct vfs_event *event = &shim.events[shim.event_count++];
	*event = (struct vfs_event){ .type = type, .offset = offset, .length = length };
	(void)snprintf(event->name, sizeof(event->name), "%s", name);
	if (length > 0) {
		event->bytes = malloc(length);
		assert(event->bytes != NULL);
		memcpy(event->bytes, bytes, length);
	}
}

void vfs_shim_record_start(void)
{
	shim.is_recording = true;
}

void vfs_shim_pause(bool is_paused)
{
	shim.is_recording = !is_paused;
}

void vfs_shim_record_stop(void)
{
	shim.is_recording = false;
	for (size_t i = 0; i < shim.event_count; i++) {
		free(shim.events[i].bytes);
	}
	free(shim.events);
	shim.events = NULL;
	shim.event_count = 0;
	shim.event_capacity = 0;
}

size_t vfs_shim_events(const struct vfs_event **ret)
{
	*ret = shim.events;
	return shim.event_count;
}

void vfs_shim_note(uint64_t number)
{
	record(VFS_EVENT_NOTE, "", number, NULL, 0);
}

void vfs_shim_note_write(const char *name, uint64_t offset, const void *bytes, size_t length)
{
	record(VFS_EVENT_WRITE, name, offset, bytes, length);
}

/* ---- Files ---- */

static int shim_close(sqlite3_file *file)
{
	return shim_of(file)->real->pMethods->xClose(shim_of(file)->real);
}

static int shim_read(sqlite3_file *file, void *bytes, int length, sqlite3_int64 offset)
{
	if (fails(VFS_READ)) {
		return failure(VFS_READ);
	}
	return shim_of(file)->real->pMethods->xRead(shim_of(file)->real, bytes, length, offset);
}

static int shim_write(sqlite3_file *file, const void *bytes, int length, sqlite3_int64 offset)
{
	struct shim_file *own = shim_of(file);
	if (!own->is_temporary && fails(VFS_WRITE)) {
		if (shim.fault.is_half) {
			(void)own->real->pMethods->xWrite(own->real, bytes, length / 2, offset);
			record(VFS_EVENT_WRITE, own->name, (uint64_t)offset, bytes, (size_t)length / 2);
		}
		return failure(VFS_WRITE);
	}
	int rc = own->real->pMethods->xWrite(own->real, bytes, length, offset);
	if (rc == SQLITE_OK && !own->is_temporary) {
		record(VFS_EVENT_WRITE, own->name, (uint64_t)offset, bytes, (size_t)length);
	}
	return rc;
}

static int shim_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	struct shim_file *own = shim_of(file);
	if (!own->is_temporary && fails(VFS_TRUNCATE)) {
		return failure(VFS_TRUNCATE);
	}
	int rc = own->real->pMethods->xTruncate(own->real, size);
	if (rc == SQLITE_OK && !own->is_temporary) {
		record(VFS_EVENT_TRUNCATE, own->name, (uint64_t)size, NULL, 0);
	}
	return rc;
}

static int shim_sync(sqlite3_file *file, int flags)
{
	struct shim_file *own = shim_of(file);
	if (fails(VFS_SYNC)) {
		return failure(VFS_SYNC);
	}
	(void)flags;
	/* Only what the recording says counts; a real flush would make the tests wait for the disk. */
	record(VFS_EVENT_SYNC, own->name, 0, NULL, 0);
	return SQLITE_OK;
}

static int shim_size(sqlite3_file *file, sqlite3_int64 *size)
{
	return shim_of(file)->real->pMethods->xFileSize(shim_of(file)->real, size);
}

static int shim_lock(sqlite3_file *file, int level)
{
	return shim_of(file)->real->pMethods->xLock(shim_of(file)->real, level);
}

static int shim_unlock(sqlite3_file *file, int level)
{
	return shim_of(file)->real->pMethods->xUnlock(shim_of(file)->real, level);
}

static int shim_check_lock(sqlite3_file *file, int *held)
{
	return shim_of(file)->real->pMethods->xCheckReservedLock(shim_of(file)->real, held);
}

static int shim_control(sqlite3_file *file, int op, void *argument)
{
	if (op == SQLITE_FCNTL_LAST_ERRNO && shim.failures > 0) {
		*(int *)argument = shim.last_errno;
		return SQLITE_OK;
	}
	return shim_of(file)->real->pMethods->xFileControl(shim_of(file)->real, op, argument);
}

static int shim_sector(sqlite3_file *file)
{
	return shim_of(file)->real->pMethods->xSectorSize(shim_of(file)->real);
}

static int shim_device(sqlite3_file *file)
{
	return shim_of(file)->real->pMethods->xDeviceCharacteristics(shim_of(file)->real);
}

/* Version 1: no shared memory, which exclusive locking does not need. */
static const sqlite3_io_methods shim_methods = {
	.iVersion = 1,
	.xClose = shim_close,
	.xRead = shim_read,
	.xWrite = shim_write,
	.xTruncate = shim_truncate,
	.xSync = shim_sync,
	.xFileSize = shim_size,
	.xLock = shim_lock,
	.xUnlock = shim_unlock,
	.xCheckReservedLock = shim_check_lock,
	.xFileControl = shim_control,
	.xSectorSize = shim_sector,
	.xDeviceCharacteristics = shim_device,
};

/* ---- The VFS ---- */

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash == NULL ? path : slash + 1;
}

static int shim_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags, int *out_flags)
{
	(void)vfs;
	struct shim_file *own = shim_of(file);
	memset(own, 0, sizeof(*own));
	if (fails(VFS_OPEN)) {
		return failure(VFS_OPEN);
	}
	own->real = (sqlite3_file *)(own + 1);
	own->is_temporary = path == NULL;
	(void)snprintf(own->name, sizeof(own->name), "%s", path == NULL ? "" : base_name(path));
	int rc = shim.real->xOpen(shim.real, path, own->real, flags, out_flags);
	own->base.pMethods = own->real->pMethods == NULL ? NULL : &shim_methods;
	return rc;
}

static int shim_delete(sqlite3_vfs *vfs, const char *path, int sync_folder)
{
	(void)vfs;
	if (fails(VFS_DELETE)) {
		return failure(VFS_DELETE);
	}
	int rc = shim.real->xDelete(shim.real, path, 0);
	if (rc == SQLITE_OK) {
		record(VFS_EVENT_DELETE, base_name(path), sync_folder ? 1 : 0, NULL, 0);
	}
	return rc;
}

static int shim_last_error(sqlite3_vfs *vfs, int length, char *text)
{
	(void)vfs;
	if (shim.failures > 0) {
		return shim.last_errno;
	}
	return shim.real->xGetLastError(shim.real, length, text);
}

void vfs_shim_install(void)
{
	(void)sqlite3_initialize();
	shim.real = sqlite3_vfs_find(NULL);
	assert(shim.real != NULL);
	shim.vfs = *shim.real;
	shim.vfs.zName = "shim";
	shim.vfs.szOsFile = (int)sizeof(struct shim_file) + shim.real->szOsFile;
	shim.vfs.pNext = NULL;
	shim.vfs.xOpen = shim_open;
	shim.vfs.xDelete = shim_delete;
	shim.vfs.xGetLastError = shim_last_error;
	int rc = sqlite3_vfs_register(&shim.vfs, 1);
	assert(rc == SQLITE_OK);
	(void)rc;
}

/* ---- Replay ---- */

struct image {
	char name[32];
	bool exists;
	bool is_lost;     /* deleted and made anew, of which the folder knows nothing yet */
	size_t last_sync; /* index behind it; 0: never */
	unsigned char *bytes;
	size_t size;
	size_t capacity;
};

static uint64_t next_random(uint64_t *seed)
{
	*seed += 0x9e3779b97f4a7c15u;
	uint64_t x = *seed;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

static struct image *find_image(struct image *images, const char *name)
{
	for (size_t i = 0; i < MAX_FILES; i++) {
		if (images[i].name[0] == '\0') {
			(void)snprintf(images[i].name, sizeof(images[i].name), "%s", name);
		}
		if (strcmp(images[i].name, name) == 0) {
			return &images[i];
		}
	}
	assert(false && "too many files");
	return NULL;
}

static void image_resize(struct image *image, size_t size)
{
	if (size > image->capacity) {
		image->bytes = realloc(image->bytes, 2 * size);
		assert(image->bytes != NULL);
		image->capacity = 2 * size;
	}
	if (size > image->size) {
		memset(image->bytes + image->size, 0, size - image->size);
	}
	image->size = size;
	image->exists = true;
}

static void image_write(struct image *image, uint64_t offset, const unsigned char *bytes, size_t length)
{
	if (offset + length > image->size) {
		image_resize(image, offset + length);
	}
	image->exists = true;
	memcpy(image->bytes + offset, bytes, length);
}

/* Some sectors of a write that was not flushed; mostly none or all of them. */
static void image_write_torn(struct image *image, const struct vfs_event *event, uint64_t *seed)
{
	uint64_t luck = next_random(seed) % 4;
	for (size_t start = 0; start < event->length;) {
		size_t end = start + SECTOR - (event->offset + start) % SECTOR;
		end = end > event->length ? event->length : end;
		if (luck == 0 || (luck == 1 && next_random(seed) % 2 == 0)) {
			image_write(image, event->offset + start, event->bytes + start, end - start);
		}
		start = end;
	}
}

static void image_apply(struct image *image, const struct vfs_event *event, bool is_flushed, uint64_t *seed)
{
	if (image->is_lost) {
		return;
	}
	switch (event->type) {
	case VFS_EVENT_WRITE:
		if (is_flushed) {
			image_write(image, event->offset, event->bytes, event->length);
		} else {
			image_write_torn(image, event, seed);
		}
		break;
	case VFS_EVENT_TRUNCATE:
		if (is_flushed || next_random(seed) % 2 == 0) {
			image_resize(image, event->offset);
		}
		break;
	case VFS_EVENT_DELETE:
		/* A flush of the file that was made in its place makes the folder durable too. */
		if (is_flushed || event->offset == 1 || next_random(seed) % 2 == 0) {
			image->exists = false;
			image->size = 0;
		} else {
			image->is_lost = true;
		}
		break;
	case VFS_EVENT_SYNC:
	case VFS_EVENT_NOTE:
		break;
	}
}

void vfs_shim_replay(const char *dir, size_t count, uint64_t seed)
{
	struct image images[MAX_FILES] = { 0 };
	for (size_t i = 0; i < count; i++) {
		if (shim.events[i].type == VFS_EVENT_SYNC) {
			find_image(images, shim.events[i].name)->last_sync = i + 1;
		}
	}
	for (size_t i = 0; i < count; i++) {
		const struct vfs_event *event = &shim.events[i];
		if (event->type != VFS_EVENT_NOTE) {
			struct image *image = find_image(images, event->name);
			image_apply(image, event, i < image->last_sync, &seed);
		}
	}
	for (size_t i = 0; i < MAX_FILES; i++) {
		if (images[i].exists) {
			char path[640];
			(void)snprintf(path, sizeof(path), "%.500s/%.31s", dir, images[i].name);
			int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
			assert(fd >= 0);
			ssize_t written = write(fd, images[i].bytes, images[i].size);
			assert(written == (ssize_t)images[i].size);
			(void)written;
			(void)close(fd);
		}
		free(images[i].bytes);
	}
}
