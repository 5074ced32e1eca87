/*
 * UTF-8 by the table of the Unicode standard (3-7): no overlong forms, no surrogates, nothing above
 * U+10FFFF. The second byte's range depends on the first, all further ones are 80 to BF.
 */
#include "lib/utf8.h"

static int length_by_first(unsigned char first)
{
	if (first < 0x80)
		return 1;
	if (first < 0xc2 || first > 0xf4)
		return 0;
	return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

static bool second_fits(unsigned char first, unsigned char second)
{
	unsigned low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
	unsigned high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
	return second >= low && second <= high;
}

int qs_utf8_next(const char *data, size_t size)
{
	if (size == 0)
		return -1;
	const unsigned char *bytes = (const unsigned char *)data;
	int length = length_by_first(bytes[0]);
	for (int i = 1; i < length; i++) {
		if ((size_t)i == size)
			return -1;
		if (i == 1 ? !second_fits(bytes[0], bytes[1]) : (bytes[i] & 0xc0) != 0x80)
			return 0;
	}
	return length;
}

bool qs_utf8_is_control(const char *character)
{
	unsigned char first = (unsigned char)character[0];
	return first < 0x20 || first == 0x7f ||
	       (first == 0xc2 && (unsigned char)character[1] < 0xa0);
}

size_t qs_utf8_cut(const char *text, size_t size, size_t limit)
{
	if (size <= limit)
		return size;
	size_t edge = limit;
	while (edge > 0 && limit - edge < 4 && ((unsigned char)text[edge] & 0xc0) == 0x80)
		edge--;
	return limit - edge < 4 ? edge : limit;
}
