/* What a template is, for its own two files. */
#ifndef QUIESCED_TEMPLATE_INTERNAL_H
#define QUIESCED_TEMPLATE_INTERNAL_H

#include "daemon/template.h"

struct template
{
	struct template_part *parts;
	size_t count, capacity;
};

#endif
