/* An intrusive, circular, doubly linked list. A node that is in no list points at itself. */
#ifndef QS_LIST_H
#define QS_LIST_H

#include <stdbool.h>

#include "lib/macro.h"

struct list {
	struct list *next, *prev;
};

static inline void list_init(struct list *node)
{
	node->next = node->prev = node;
}

static inline bool list_empty(const struct list *head)
{
	return head->next == head;
}

static inline void list_append(struct list *head, struct list *node)
{
	node->prev = head->prev;
	node->next = head;
	head->prev->next = node;
	head->prev = node;
}

/* Leaves the node pointing at itself, so that removing it again does nothing. */
static inline void list_remove(struct list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}

/* Appends all of `from`, in their order, and leaves it empty. */
static inline void list_move_all(struct list *head, struct list *from)
{
	if (list_empty(from))
		return;
	from->next->prev = head->prev;
	head->prev->next = from->next;
	from->prev->next = head;
	head->prev = from->prev;
	list_init(from);
}

#define list_entry(node, type, member) container_of(node, type, member)

/* The body may remove the current node, and no other. */
#define list_for_each(node, head)                                                         \
	for (struct list *node = (head)->next, *node##_next = node->next; node != (head); \
	        node = node##_next, node##_next = node->next)

#endif
