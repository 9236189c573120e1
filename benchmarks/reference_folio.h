// SPDX-License-Identifier: GPL-2.0-only
/* The C reference: a huge page is allocated and charged, frozen, split, and its memory given back. */

#pragma once

#include "reference.h"

static bool page_counter_try_charge(struct page_counter *counter, int64_t nr_pages)
{
	struct page_counter *c;

	for (c = counter; c; c = c->parent)
		if (c->usage + nr_pages > c->max)
			return false;
	for (c = counter; c; c = c->parent)
		c->usage += nr_pages;
	return true;
}

static void page_counter_uncharge(struct page_counter *counter, int64_t nr_pages)
{
	for (; counter; counter = counter->parent) {
		counter->usage -= nr_pages;
		if (counter->usage < 0)
			bug("page_counter underflow");
	}
}

static bool charge_folio(struct folio *folio, struct memcg *memcg)
{
	struct memcg *above;

	if (!page_counter_try_charge(&memcg->memory, INT64_C(1) << folio->order))
		return false;
	for (above = memcg; above; above = above->parent)
		if (above->memory.usage > above->memory.high)
			bug("over memory.high");
	memcg->objcg->refcount++;
	folio->objcg = memcg->objcg;
	return true;
}

static bool heads_present(struct folio *folio)
{
	bool present;

	rcu_read_lock();
	present = from_memcg_id(folio->nid, folio->objcg->memcg) != NULL;
	rcu_read_unlock();
	return present;
}

static struct folio *new_folio(int nid, struct memcg *memcg)
{
	struct node *node = &nodes[nid];
	struct folio *folio;

	if (node->free - node->wmark_low < HPAGE_PMD_NR)
		bug("out of the model's memory");
	node->free -= HPAGE_PMD_NR;
	folio = malloc(sizeof(*folio));
	if (!folio)
		bug("out of memory");
	memset(folio, 0, sizeof(*folio));
	folio->refcount = 1;
	folio->flags = PG_LARGE_RMAPPABLE;
	folio->order = HPAGE_PMD_ORDER;
	folio->nid = nid;
	if (!charge_folio(folio, memcg) || !heads_present(folio))
		bug("the cgroup is full or has no lists");
	return folio;
}

static inline bool ref_freeze(struct folio *folio, int64_t expected)
{
	if (folio->refcount != expected)
		return false;
	folio->refcount = 0;
	return true;
}

static inline void ref_unfreeze(struct folio *folio, int64_t count)
{
	if (folio->refcount)
		bug("unfreeze of a folio in use");
	folio->refcount = count;
}

static inline void ref_put(struct folio *folio)
{
	if (folio->refcount < 1)
		bug("refcount underflow");
	folio->refcount--;
}

/* The list's lock is held over freezing and unqueueing, for a walker takes a count of 0 for a final put. */
static bool freeze_and_unqueue(struct folio *folio, int64_t expected)
{
	struct memcg *memcg;
	struct lru_one *l;
	bool frozen;

	rcu_read_lock();
	memcg = folio->objcg ? folio->objcg->memcg : NULL;
	l = lock_of_memcg(folio->nid, &memcg, IRQSAVE, false);
	frozen = ref_freeze(folio, expected);
	if (frozen) {
		lru_del(l, folio);
		clear_partially_mapped(folio);
	}
	unlock(&l->lock, IRQSAVE);
	rcu_read_unlock();
	return frozen;
}

/* Nothing maps the folio any more: all its pages are freed. */
static void split_unmapped(struct folio *folio)
{
	struct per_node *pernode = &folio->objcg->memcg->nodeinfo[folio->nid];
	struct node *node = &nodes[folio->nid];
	int64_t nr_pages = INT64_C(1) << folio->order, kept = 0;

	for (int word = 0; folio->mapped && word < WORDS; word++)
		kept += __builtin_popcountll(folio->mapped[word]);
	nr_anon--;
	node->nr_anon += kept;
	pernode->nr_anon += kept;
	page_counter_uncharge(&folio->objcg->memcg->memory, nr_pages - kept);
	node->free += nr_pages - kept;
	if (node->free > node->managed)
		bug("more memory was freed than there is");
	if (--folio->objcg->refcount == 0)
		bug("the last reference of an objcg");
	folio->order = 0;
	folio->objcg = NULL;
	folio->flags = PG_LOCKED;
	ref_unfreeze(folio, 1);
}

/* One folio of the scanner's private list, referenced. */
static bool split_isolated(struct folio *folio)
{
	bool split;

	list_del_init(&folio->deferred);
	if (!(folio->flags & PG_PARTIALLY_MAPPED) || folio->flags & PG_LOCKED)
		return false;
	folio->flags |= PG_LOCKED;
	split = freeze_and_unqueue(folio, 1);
	if (split) {
		split_unmapped(folio);
		split_page++;
		mthp_split++;
	}
	folio->flags &= ~PG_LOCKED;
	ref_put(folio);
	return split;
}
