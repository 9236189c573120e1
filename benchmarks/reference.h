// SPDX-License-Identifier: GPL-2.0-only
/*
 * The C reference: what the model's operations cost as plain C, with structs and intrusive lists.
 *
 * It does the work that thplab does for the design list_lru, step by step: the read section, the lookup of the
 * sublist, a lock with its owner and interrupt state, list edits with their debug checks, the shrinker bit, the
 * counters. What it leaves out is what the language of the model adds: boxed numbers, reference counts of the
 * interpreter, scheduling points. Our own code; it shares nothing with the kernel but names.
 */

#pragma once

#include "reference_primitives.h"

#define HPAGE_PMD_ORDER 9
#define HPAGE_PMD_NR 512
#define WORDS (HPAGE_PMD_NR / 64)
#define DEAD INT64_MIN
#define SHRINKER_ID 1

enum { PG_LOCKED = 1, PG_LARGE_RMAPPABLE = 32, PG_PARTIALLY_MAPPED = 64 };
enum { CSS_ONLINE = 1, CSS_DYING = 2 };
enum lru_status { LRU_REMOVED, LRU_SKIP };

struct shrinker_unit {
	uint64_t map;
	int64_t nr_deferred[64];
};

struct page_counter {
	struct page_counter *parent;
	int64_t usage, max, high;
};

struct memcg {
	struct memcg *parent;
	struct page_counter memory;
	struct per_node *nodeinfo;
	struct objcg *objcg;
	int64_t id, flags, refcount;
	bool freed;
};

struct per_node {
	int64_t nr_anon, nr_anon_thps;
	int64_t map_nr_max;
	struct shrinker_unit *unit;
};

struct objcg {
	struct memcg *memcg;
	int64_t refcount;
};

struct folio {
	struct list_head deferred;
	int64_t refcount, flags;
	int32_t order, nid;
	struct objcg *objcg;
	int64_t index, entire_mapcount;
	uint64_t *mapped, *zeros; /* WORDS words each, a bit for each page; NULL: no bit is set */
	void *anon_vma;
};

struct lru_one {
	struct list_head list;
	int64_t nr_items;
	struct spinlock lock;
};

struct lru_memcg {
	struct lru_one *node;
};

struct lru_node {
	struct lru_one lru;
	int64_t nr_items;
};

struct node {
	int64_t managed, free, wmark_low, nr_anon, nr_anon_thps;
};

/* The machine: one list_lru, the cgroups, the nodes, the counters. */
static struct lru_node *lru_nodes;
static struct lru_memcg **lru_slots;
static int64_t nr_slots;
static struct memcg root, *cgroups;
static struct node *nodes;
static int64_t deferred_split_page, split_page, mthp_split, mthp_split_deferred, nr_partially_mapped, nr_anon;
static int64_t nr_cgroups, nr_nodes, nr_folios;

/* list_lru. */

static inline struct lru_one *from_memcg_id(int nid, struct memcg *memcg)
{
	int64_t id = memcg ? memcg->id : -1;

	if (memcg && memcg->freed)
		bug("use of a freed cgroup");
	if (id < 0)
		return &lru_nodes[nid].lru;
	if (id >= nr_slots || !lru_slots[id])
		return NULL;
	return &lru_slots[id]->node[nid];
}

static inline struct lru_one *lock_of_memcg(int nid, struct memcg **memcg, int mode, bool skip_empty)
{
	struct lru_one *l;

	rcu_read_lock();
	for (;;) {
		l = from_memcg_id(nid, *memcg);
		if (l) {
			lock(&l->lock, mode);
			if (l->nr_items != DEAD)
				break;
			unlock(&l->lock, mode);
		}
		if (skip_empty || !*memcg) {
			l = NULL;
			break;
		}
		if (!((*memcg)->flags & CSS_DYING))
			bug("no list for a living cgroup");
		*memcg = (*memcg)->parent;
	}
	rcu_read_unlock();
	return l;
}

static void set_shrinker_bit(struct memcg *memcg, int nid, int id)
{
	struct per_node *info;

	if (id < 0 || memcg == &root)
		return;
	rcu_read_lock();
	info = &memcg->nodeinfo[nid];
	if (id >= info->map_nr_max)
		bug("shrinker id out of the map");
	info->unit[id / 64].map |= UINT64_C(1) << (id % 64);
	rcu_read_unlock();
}

static inline bool lru_add(struct lru_one *l, struct folio *folio, struct memcg *memcg)
{
	if (folio->deferred.next)
		return false;
	list_add_tail(&folio->deferred, &l->list);
	if (l->nr_items == 0 && memcg)
		set_shrinker_bit(memcg, folio->nid, SHRINKER_ID);
	l->nr_items++;
	lru_nodes[folio->nid].nr_items++;
	return true;
}

static inline bool lru_del(struct lru_one *l, struct folio *folio)
{
	if (!folio->deferred.next)
		return false;
	list_del_init(&folio->deferred);
	l->nr_items--;
	lru_nodes[folio->nid].nr_items--;
	return true;
}

static int64_t count_one(int nid, struct memcg *memcg)
{
	struct lru_one *l;
	int64_t count;

	rcu_read_lock();
	l = from_memcg_id(nid, memcg);
	count = l ? l->nr_items : 0;
	rcu_read_unlock();
	return count > 0 ? count : 0;
}

typedef enum lru_status (*isolate_fn)(struct folio *folio, struct lru_one *l, struct list_head *private);

static int64_t walk_one(int nid, struct memcg *memcg, isolate_fn isolate, struct list_head *private, int64_t budget)
{
	struct lru_one *l = lock_of_memcg(nid, &memcg, IRQ, true);
	struct list_head *item, *following;
	int64_t isolated = 0;

	if (!l)
		return 0;
	for (item = l->list.next; item && item != &l->list && budget; item = following, budget--) {
		following = item->next;
		if (isolate((struct folio *)item, l, private) == LRU_REMOVED) {
			isolated++;
			lru_nodes[nid].nr_items--;
		}
	}
	unlock(&l->lock, IRQ);
	return isolated;
}

/* The deferred split queue on it. */

static void deferred_split_folio(struct folio *folio, bool partially_mapped)
{
	struct memcg *memcg;
	struct lru_one *l;

	if (folio->order <= 1)
		return;
	rcu_read_lock();
	memcg = folio->objcg ? folio->objcg->memcg : NULL;
	l = lock_of_memcg(folio->nid, &memcg, IRQSAVE, false);
	if (partially_mapped && !(folio->flags & PG_PARTIALLY_MAPPED)) {
		folio->flags |= PG_PARTIALLY_MAPPED;
		if (folio->order == HPAGE_PMD_ORDER)
			deferred_split_page++;
		mthp_split_deferred++;
		nr_partially_mapped++;
	}
	lru_add(l, folio, memcg);
	unlock(&l->lock, IRQSAVE);
	rcu_read_unlock();
}

static inline void clear_partially_mapped(struct folio *folio)
{
	if (folio->flags & PG_PARTIALLY_MAPPED) {
		folio->flags &= ~PG_PARTIALLY_MAPPED;
		nr_partially_mapped--;
	}
}

static bool unqueue_deferred_split(struct folio *folio)
{
	struct memcg *memcg;
	struct lru_one *l;
	bool unqueued;

	if (folio->order <= 1 || !(folio->flags & PG_LARGE_RMAPPABLE) || !folio->deferred.next)
		return false;
	if (folio->refcount || !folio->objcg)
		bug("unqueue of a folio in use");
	rcu_read_lock();
	memcg = folio->objcg->memcg;
	l = lock_of_memcg(folio->nid, &memcg, IRQSAVE, false);
	unqueued = lru_del(l, folio);
	if (unqueued)
		clear_partially_mapped(folio);
	unlock(&l->lock, IRQSAVE);
	rcu_read_unlock();
	return unqueued;
}

static enum lru_status isolate(struct folio *folio, struct lru_one *l, struct list_head *private)
{
	if (folio->refcount > 0) {
		folio->refcount++;
		list_del_init(&folio->deferred);
		list_add_tail(&folio->deferred, private);
	} else {
		clear_partially_mapped(folio);
		list_del_init(&folio->deferred);
	}
	l->nr_items--;
	return LRU_REMOVED;
}

/* A cgroup goes offline: its sublists are spliced into the parent's and marked dead. */

static void reparent_node(int nid, struct lru_one *src, struct memcg *parent)
{
	struct lru_one *dst;

	lock(&src->lock, IRQ);
	dst = from_memcg_id(nid, parent);
	lock(&dst->lock, PLAIN);
	list_splice(&src->list, &dst->list);
	if (src->nr_items) {
		dst->nr_items += src->nr_items;
		set_shrinker_bit(parent, nid, SHRINKER_ID);
	}
	src->nr_items = DEAD;
	unlock(&dst->lock, PLAIN);
	unlock(&src->lock, IRQ);
}

static void reparent(struct memcg *memcg, struct memcg *parent)
{
	struct lru_memcg *block = lru_slots[memcg->id];

	for (int nid = 0; nid < nr_nodes; nid++)
		reparent_node(nid, &block->node[nid], parent);
	lru_slots[memcg->id] = NULL;
	free(block->node);
	free(block);
}
