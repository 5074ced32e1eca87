/* The reference of all keys, printed from the table that checks them. */
#include <string.h>

#include "daemon/config_internal.h"

static void print_help(FILE *out, const char *help)
{
	const size_t width = 92;
	while (*help) {
		size_t length = strlen(help);
		if (length > width) {
			length = width;
			while (length > 0 && help[length] != ' ')
				length--;
			if (length == 0)
				length = strcspn(help, " ");
		}
		(void)fprintf(out, "        %.*s\n", (int)length, help);
		help += length + (help[length] == ' ');
	}
}

static void print_key(FILE *out, const struct schema_key *key)
{
	char range[96];
	(void)fprintf(out, "%s\n", key->path);
	if (key->type == VALUE_REFUSED) {
		(void)fprintf(out, "        Refused:\n");
		print_help(out, key->help);
		return;
	}
	value_range(key, range, sizeof(range));
	if (key->type == VALUE_WORD)
		(void)fprintf(out, "        %s", range);
	else if (range[0])
		(void)fprintf(out, "        %s (%s)", value_expects(key->type), range);
	else
		(void)fprintf(out, "        %s", value_expects(key->type));
	(void)fprintf(
	        out, "; default: %s\n", key->fallback_text ? key->fallback_text : key->fallback);
	print_help(out, key->help);
}

void config_print_reference(FILE *out)
{
	for (size_t i = 0; i < schema_count(); i++)
		print_key(out, schema_row(i));
}
