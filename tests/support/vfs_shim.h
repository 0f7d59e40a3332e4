/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A SQLite VFS between SQLite and the real one that breaks on purpose: the n-th operation fails, or kills the
 * process; or everything that is written is recorded, so that the files can be made again as a power
 * failure would have left them. One thread, one shim in a process; it is the default VFS once installed.
 */
#pragma once

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum vfs_op {
	VFS_OPEN = 1,
	VFS_READ = 2,
	VFS_WRITE = 4,
	VFS_SYNC = 8,
	VFS_TRUNCATE = 16,
	VFS_DELETE = 32,
	VFS_ALL_WRITING = VFS_WRITE | VFS_SYNC | VFS_TRUNCATE | VFS_DELETE,
};

struct vfs_fault {
	unsigned ops;    /* mask of the kinds that count */
	uint64_t after;  /* this many of them succeed first */
	bool is_lasting; /* all later ones fail too */
	bool is_kill;    /* SIGKILL instead of a failure */
	bool is_half;    /* a failing write writes half of its bytes */
	int rc;          /* what the failing one returns; SQLITE_IOERR: the code of its kind */
	int number;      /* errno behind it */
};

/* Registers the shim as the default VFS. Once, before the first database is opened. */
void vfs_shim_install(void);

/* From now on; NULL: no more. Starts the count anew. */
void vfs_shim_break(const struct vfs_fault *fault);

/* Operations of the fault's kinds since vfs_shim_break(), and how many of them failed. */
uint64_t vfs_shim_count(void);
uint64_t vfs_shim_failures(void);

/* ---- Recording ---- */

enum vfs_event_type { VFS_EVENT_WRITE, VFS_EVENT_SYNC, VFS_EVENT_TRUNCATE, VFS_EVENT_DELETE, VFS_EVENT_NOTE };

struct vfs_event {
	enum vfs_event_type type;
	char name[32]; /* of the file, without its folder */
	uint64_t
	        offset; /* of a write; new size of a truncation; 1: folder flushed behind a deletion; of a note */
	size_t length;
	unsigned char *bytes;
};

void vfs_shim_record_start(void);
void vfs_shim_pause(bool is_paused); /* what follows is not recorded */
void vfs_shim_record_stop(void);
size_t vfs_shim_events(const struct vfs_event **ret);

/* A mark of the test's own among the events, or a write that did not go through SQLite. */
void vfs_shim_note(uint64_t number);
void vfs_shim_note_write(const char *name, uint64_t offset, const void *bytes, size_t length);

/*
 * Makes the files in the empty folder @dir as a power failure behind the first @count events could have left
 * them: what was flushed is there; of what was not, each 512-byte sector of each write is there or
 * not, by the random numbers that @seed gives.
 */
void vfs_shim_replay(const char *dir, size_t count, uint64_t seed);
