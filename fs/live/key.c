/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/live/record.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

static struct shale_key key_of(char letter)
{
	struct shale_key key;

	key.b[0] = (uint8_t)letter;
	key.len = 1;
	return key;
}

static void put(struct shale_key *key, uint64_t v, size_t bytes)
{
	uint64_t big = htobe64(v << (64 - 8 * bytes));

	memcpy(key->b + key->len, &big, bytes);
	key->len += bytes;
}

static uint64_t take(const uint8_t *from, size_t bytes)
{
	uint64_t v = 0;

	for (size_t i = 0; i < bytes; i++)
		v = v << 8 | from[i];
	return v;
}

static struct shale_key key_one(char letter, uint64_t number)
{
	struct shale_key key = key_of(letter);

	put(&key, number, 8);
	return key;
}

struct shale_key shale_key_state(void)
{
	return key_of('S');
}

struct shale_key shale_key_image(uint32_t image)
{
	struct shale_key key = key_of('G');

	put(&key, image, 4);
	return key;
}

struct shale_key shale_key_attr(uint64_t ino)
{
	return key_one('I', ino);
}

struct shale_key shale_key_content(uint64_t ino)
{
	return key_one('C', ino);
}

struct shale_key shale_key_map(uint64_t ino, uint32_t epoch, uint64_t region)
{
	struct shale_key key = key_one('M', ino);

	put(&key, epoch, 4);
	put(&key, region, 8);
	return key;
}

struct shale_key shale_key_xattrs(uint64_t ino)
{
	return key_one('X', ino);
}

struct shale_key shale_key_target(uint64_t ino)
{
	return key_one('T', ino);
}

struct shale_key shale_key_name(uint64_t dir, const char *name, size_t len)
{
	struct shale_key key = key_one('N', dir);

	if (len > sizeof(key.b) - key.len)
		len = sizeof(key.b) - key.len;
	memcpy(key.b + key.len, name, len);
	key.len += len;
	return key;
}

struct shale_key shale_key_cookie(uint64_t dir, uint64_t cookie)
{
	struct shale_key key = key_one('R', dir);

	put(&key, cookie, 8);
	return key;
}

struct shale_key shale_key_orphan(uint64_t ino)
{
	return key_one('O', ino);
}

struct shale_key shale_key_discard(void)
{
	return key_of('D');
}

int shale_key_ino(const struct shale_buf *key, char letter, uint64_t *ino)
{
	if (key->len < 9 || key->data[0] != (uint8_t)letter)
		return -EUCLEAN;
	*ino = take(key->data + 1, 8);
	return 0;
}

int shale_key_map_parts(const struct shale_buf *key, uint64_t *ino,
			uint32_t *epoch, uint64_t *region)
{
	if (key->len != 21 || key->data[0] != 'M')
		return -EUCLEAN;
	*ino = take(key->data + 1, 8);
	*epoch = (uint32_t)take(key->data + 9, 4);
	*region = take(key->data + 13, 8);
	return 0;
}

int shale_key_name_parts(const struct shale_buf *key, uint64_t *dir,
			 const char **name, size_t *len)
{
	if (key->len < 10 || key->len > SHALE_KEY_MAX || key->data[0] != 'N')
		return -EUCLEAN;
	*dir = take(key->data + 1, 8);
	*name = (const char *)key->data + 9;
	*len = key->len - 9;
	return 0;
}

int shale_key_cookie_parts(const struct shale_buf *key, uint64_t *dir,
			   uint64_t *cookie)
{
	if (key->len != 17 || key->data[0] != 'R')
		return -EUCLEAN;
	*dir = take(key->data + 1, 8);
	*cookie = take(key->data + 9, 8);
	return 0;
}
