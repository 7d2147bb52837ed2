/* SPDX-License-Identifier: Apache-2.0 */
/* Marks what roots reach; the rest follows. */
#include "snapshot/lineage.h"

static void need(struct lineage_node *node, int at)
{
	while (at >= 0 && !node[at].is_needed) {
		node[at].is_needed = true;
		at = node[at].below;
	}
}

static void mark(struct lineage_node *node, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++) {
		node[i].is_needed = false;
		node[i].children = 0;
		node[i].child = -1;
	}
	for (i = 0; i < count; i++)
		if (node[i].is_root || !node[i].is_unused)
			need(node, (int)i);
}

static void count_children(struct lineage_node *node, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (node[i].is_needed && node[i].below >= 0) {
			node[node[i].below].children++;
			node[node[i].below].child = (int)i;
		}
}

static enum lineage_fate decide(const struct lineage_node *node,
				const struct lineage_node *n)
{
	if (!n->is_unused || n->is_root)
		return LINEAGE_KEEP;
	if (!n->is_needed)
		return LINEAGE_REMOVE;
	return n->children == 1 && node[n->child].may_grow ? LINEAGE_MERGE
							   : LINEAGE_KEEP;
}

void lineage_decide(struct lineage_node *node, size_t count)
{
	size_t i;

	mark(node, count);
	count_children(node, count);
	for (i = 0; i < count; i++)
		node[i].fate = decide(node, &node[i]);
}

int lineage_next_merge(const struct lineage_node *node, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (node[i].fate == LINEAGE_MERGE &&
		    node[node[i].child].fate != LINEAGE_MERGE)
			return (int)i;
	return -1;
}
