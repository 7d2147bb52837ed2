/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of granules: planned, saved, loaded, held against an image. */
#include "vmm/ram_map.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/memory.h"
#include "base/state.h"
#include "devices/platform.h"

#define VERSION 1
#define SECTION "memory"

#define MIN(a, b) ((a) < (b) ? (a) : (b))

void ram_map_plan(struct ram_map *map, uint64_t memory_bytes, size_t *bytes)
{
	uint32_t granule = RAM_GRANULE_MIN;

	while (granule < RAM_GRANULE_MAX &&
	       memory_bytes / granule > RAM_GRANULES_MANY)
		granule *= 2;
	*map = (struct ram_map){
		.bytes = memory_bytes,
		.granule = granule,
		.count = (uint32_t)((memory_bytes + granule - 1) / granule),
	};
	*bytes = map->count * (sizeof(*map->hash) + sizeof(*map->stored));
}

void ram_map_place(struct ram_map *map, void *room)
{
	map->hash = room;
	map->stored = (uint8_t *)(map->hash + map->count);
}

uint64_t ram_map_hash(const void *bytes, size_t n)
{
	return XXH3_64bits(bytes, n);
}

/* --- as a container -------------------------------------------------- */

static void sync_head(struct ram_map *map, struct state_io *io)
{
	state_u64(io, &map->bytes);
	state_u32(io, &map->granule);
	state_u32(io, &map->count);
	state_bool(io, &map->is_increment);
}

static void sync_tables(struct ram_map *map, struct state_io *io)
{
	uint32_t i;

	for (i = 0; i < map->count; i++) {
		state_u8(io, &map->stored[i]);
		state_u64(io, &map->hash[i]);
	}
}

int ram_map_save(struct ram_map *map, struct buf *out, struct err *e)
{
	struct state_io io;
	struct buf bytes;
	int r;

	buf_init(&bytes, RAM_MAP_BYTES);
	state_save(&io, SECTION, &bytes);
	sync_head(map, &io);
	sync_tables(map, &io);
	r = state_end(&io, e);
	if (!r)
		r = state_write_single(out, SECTION, VERSION, &bytes);
	buf_fini(&bytes);
	return r && !(e && e->code) ? err_sys(e, r, "memory map") : r;
}

/* Only what ram_map_plan() would have made. */
static int check_head(const struct ram_map *map, struct err *e)
{
	struct ram_map plan;
	size_t bytes;

	ram_map_plan(&plan, map->bytes, &bytes);
	if (map->granule == plan.granule && map->count == plan.count &&
	    bytes <= RAM_MAP_BYTES)
		return 0;
	return err_set(e, -EBADMSG,
		       "memory map: %u granules of %u bytes for %llu bytes of "
		       "memory",
		       map->count, map->granule,
		       (unsigned long long)map->bytes);
}

static int load_tables(struct ram_map *map, struct state_io *io, struct err *e)
{
	size_t bytes = map->count * (sizeof(*map->hash) + sizeof(*map->stored));
	void *room = calloc(1, bytes + 1);

	if (!room)
		return err_sys(e, -ENOMEM, "memory map");
	ram_map_place(map, room);
	sync_tables(map, io);
	return state_end(io, e);
}

int ram_map_load(struct ram_map *map, const uint8_t *bytes, size_t len,
		 struct err *e)
{
	struct state_io io;
	int r = state_load_single(&io, SECTION, VERSION, "memory map", bytes,
				  len, e);

	*map = (struct ram_map){ .bytes = 0 };
	if (r)
		return r;
	sync_head(map, &io);
	r = io.error ? state_end(&io, e) : check_head(map, e);
	if (!r)
		r = load_tables(map, &io, e);
	if (r)
		ram_map_fini(map);
	return r;
}

void ram_map_fini(struct ram_map *map)
{
	free(map->hash);
	*map = (struct ram_map){ .bytes = 0 };
}

/* --- against an image ------------------------------------------------ */

/* Where an offset of the memory is in the image. */
static uint64_t address_of(uint64_t offset)
{
	return offset < RAM_HOLE_START ? offset
				       : offset - RAM_HOLE_START + RAM_HOLE_END;
}

static int damaged(uint64_t address, const char *what, struct err *e)
{
	return err_set(e, -EBADMSG, "memory at %#llx: %s",
		       (unsigned long long)address, what);
}

static uint64_t granule_bytes(const struct ram_map *map, uint32_t i)
{
	return MIN(map->granule, map->bytes - (uint64_t)i * map->granule);
}

static int read_granule(const struct ram_map *map, uint32_t i, int fd,
			uint8_t *bytes, struct err *e)
{
	uint64_t address = address_of((uint64_t)i * map->granule), done = 0;
	uint64_t n = granule_bytes(map, i);
	ssize_t got;

	while (done < n) {
		got = pread(fd, bytes + done, n - done,
			    (off_t)(address + done));
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_sys(e, -errno, "memory at %#llx",
				       (unsigned long long)address);
		if (!got)
			return damaged(address, "the image ends", e);
		done += (uint64_t)got;
	}
	return 0;
}

static int verify_stored(const struct ram_map *map, uint32_t i, int fd,
			 uint8_t *bytes, struct err *e)
{
	int r = read_granule(map, i, fd, bytes, e);

	if (r)
		return r;
	return ram_map_hash(bytes, granule_bytes(map, i)) == map->hash[i]
		       ? 0
		       : damaged(address_of((uint64_t)i * map->granule),
				 "its checksum is another one", e);
}

static int verify_hole(const struct ram_map *map, uint32_t i, int fd,
		       struct err *e)
{
	uint64_t offset = (uint64_t)i * map->granule;
	uint64_t address = address_of(offset);
	off_t data = lseek(fd, (off_t)address, SEEK_DATA);

	if (data < 0 && errno != ENXIO)
		return err_sys(e, -errno, "memory at %#llx",
			       (unsigned long long)address);
	return data >= 0 && (uint64_t)data < address + MIN(map->granule,
							   map->bytes - offset)
		       ? damaged((uint64_t)data,
				 "something is there that was "
				 "not saved",
				 e)
		       : 0;
}

/* A full image that was copied may have zeroes where there was a hole. */
static int verify_absent(const struct ram_map *map, uint32_t i, int fd,
			 uint8_t *bytes, struct err *e)
{
	int r = verify_hole(map, i, fd, NULL);

	if (r != -EBADMSG || map->is_increment)
		return r ? verify_hole(map, i, fd, e) : 0;
	r = read_granule(map, i, fd, bytes, e);
	if (r || memory_is_zero(bytes, granule_bytes(map, i)))
		return r;
	return verify_hole(map, i, fd, e);
}

int ram_map_verify(const struct ram_map *map, int fd, struct err *e)
{
	uint8_t *bytes = malloc(map->granule);
	uint32_t i;
	int r = 0;

	if (!bytes)
		return err_sys(e, -ENOMEM, "memory map");
	for (i = 0; i < map->count && !r; i++)
		r = map->stored[i] ? verify_stored(map, i, fd, bytes, e)
				   : verify_absent(map, i, fd, bytes, e);
	free(bytes);
	return r;
}

/* --- of an image ----------------------------------------------------- */

static int note_all(struct ram_map *map, int fd, uint8_t *bytes, struct err *e)
{
	uint32_t i;
	int r = 0;

	for (i = 0; i < map->count && !r; i++) {
		if (!verify_hole(map, i, fd, NULL))
			continue;
		r = read_granule(map, i, fd, bytes, e);
		map->stored[i] = 1;
		map->hash[i] = ram_map_hash(bytes, granule_bytes(map, i));
	}
	return r;
}

int ram_map_read(struct ram_map *map, uint64_t memory_bytes, int fd,
		 struct err *e)
{
	uint8_t *bytes;
	size_t room;
	void *tables;
	int r = -ENOMEM;

	ram_map_plan(map, memory_bytes, &room);
	tables = calloc(1, room);
	bytes = malloc(map->granule);
	if (tables && bytes) {
		ram_map_place(map, tables);
		r = note_all(map, fd, bytes, e);
	} else {
		err_sys(e, r, "memory map");
	}
	free(bytes);
	if (r)
		free(tables);
	return r;
}
