// SPDX-License-Identifier: GPL-2.0-only
/*
 * Times the C reference (reference.h) phase by phase, as benchmarks/operations.py does the model.
 *
 *     reference FOLIOS CGROUPS NODES ROUNDS ORDER
 *
 * ORDER is a file of FOLIOS native 32-bit numbers: the order in which folios are unqueued. One JSON object is
 * printed: nanoseconds per item of each operation for each round, bytes per queued folio, the counters at the end.
 */

#include "reference_folio.h"

#include <time.h>
#include <unistd.h>

enum phase { CREATE, QUEUE, UNQUEUE, WALK, SPLIT, REPARENT, NR_PHASES };

static const char *const phase_names[NR_PHASES] = { "create", "queue", "unqueue", "walk", "split", "reparent" };

static struct folio **folios;
static uint32_t *order;
static double nanoseconds[NR_PHASES];
static double bytes_per_folio;
static int64_t unqueued, isolated, split, counted;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static int64_t resident(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	long size, pages;

	if (!file || fscanf(file, "%ld %ld", &size, &pages) != 2)
		bug("/proc/self/statm");
	fclose(file);
	return pages * sysconf(_SC_PAGESIZE);
}

static void make_machine(void)
{
	int64_t i, n;

	lru_nodes = allocate(nr_nodes, sizeof(*lru_nodes));
	nodes = allocate(nr_nodes, sizeof(*nodes));
	for (n = 0; n < nr_nodes; n++)
		nodes[n].managed = nodes[n].free = 2 * HPAGE_PMD_NR * (nr_folios / nr_nodes + 64);
	cgroups = allocate(nr_cgroups, sizeof(*cgroups));
	lru_slots = allocate(nr_cgroups, sizeof(*lru_slots));
	nr_slots = nr_cgroups;
	root.id = -1;
	root.flags = CSS_ONLINE;
	root.memory.usage = 0;
	root.memory.max = root.memory.high = INT64_MAX / 4096;
	root.nodeinfo = allocate(nr_nodes, sizeof(struct per_node));
	for (i = 0; i < nr_cgroups; i++) {
		struct memcg *memcg = &cgroups[i];

		memcg->parent = &root;
		memcg->id = i;
		memcg->flags = CSS_ONLINE;
		memcg->nodeinfo = allocate(nr_nodes, sizeof(struct per_node));
		for (n = 0; n < nr_nodes; n++) {
			memcg->nodeinfo[n].map_nr_max = 64;
			memcg->nodeinfo[n].unit = allocate(1, sizeof(struct shrinker_unit));
		}
		memcg->objcg = allocate(1, sizeof(struct objcg));
		memcg->objcg->memcg = memcg;
		memcg->objcg->refcount = 1;
		memcg->memory.parent = &root.memory;
		memcg->memory.max = memcg->memory.high = INT64_MAX / 4096;
		lru_slots[i] = allocate(1, sizeof(struct lru_memcg));
		lru_slots[i]->node = allocate(nr_nodes, sizeof(struct lru_one));
	}
}

static void drop_machine(void)
{
	int64_t i, n;

	for (i = 0; i < nr_cgroups; i++) {
		for (n = 0; n < nr_nodes; n++)
			free(cgroups[i].nodeinfo[n].unit);
		free(cgroups[i].nodeinfo);
		free(cgroups[i].objcg);
	}
	free(root.nodeinfo);
	free(cgroups);
	free(lru_slots);
	free(lru_nodes);
	free(nodes);
}

static void create_all(void)
{
	for (int64_t i = 0; i < nr_folios; i++)
		folios[i] = new_folio(i % nr_nodes, &cgroups[i / nr_nodes % nr_cgroups]);
}

static void queue_all(void)
{
	for (int64_t i = 0; i < nr_folios; i++)
		deferred_split_folio(folios[i], true);
}

static void unqueue_all(void)
{
	for (int64_t i = 0; i < nr_folios; i++) {
		struct folio *folio = folios[order[i]];

		if (ref_freeze(folio, 1)) {
			unqueued += unqueue_deferred_split(folio);
			ref_unfreeze(folio, 1);
		}
	}
}

static void walk_all(struct list_head *private)
{
	for (int64_t c = 0; c < nr_cgroups; c++) {
		for (int64_t n = 0; n < nr_nodes; n++) {
			counted += count_one(n, &cgroups[c]);
			isolated += walk_one(n, &cgroups[c], isolate, private, nr_folios);
		}
	}
}

static void split_all(struct list_head *private)
{
	while (private->next) {
		struct folio *folio = (struct folio *)private->next;

		ref_put(folio); /* its mapping's reference: unmapped meanwhile */
		split += split_isolated(folio);
	}
}

static void reparent_all(void)
{
	for (int64_t c = 0; c < nr_cgroups; c++) {
		cgroups[c].flags |= CSS_DYING;
		reparent(&cgroups[c], &root);
	}
}

static void drop_folios(void)
{
	for (int64_t i = 0; i < nr_folios; i++)
		free(folios[i]);
}

/* A round: each operation on all folios, on a machine of its own. */
static void run_round(void)
{
	struct list_head private = { 0 };
	double t[12];
	int64_t before;

	make_machine();
	before = resident();
	t[0] = now();
	create_all();
	t[1] = now();
	queue_all();
	t[2] = now();
	bytes_per_folio = (double)(resident() - before) / nr_folios;
	t[3] = now();
	unqueue_all();
	t[4] = now();
	queue_all();
	t[5] = now();
	walk_all(&private);
	t[6] = now();
	split_all(&private);
	t[7] = now();
	drop_folios();
	create_all();
	queue_all();
	t[8] = now();
	reparent_all();
	t[9] = now();
	nanoseconds[CREATE] = (t[1] - t[0]) / nr_folios;
	nanoseconds[QUEUE] = (t[2] - t[1]) / nr_folios;
	nanoseconds[UNQUEUE] = (t[4] - t[3]) / nr_folios;
	nanoseconds[WALK] = (t[6] - t[5]) / nr_folios;
	nanoseconds[SPLIT] = (t[7] - t[6]) / nr_folios;
	nanoseconds[REPARENT] = (t[9] - t[8]) / (nr_cgroups * nr_nodes);
}

static void print_counters(void)
{
	int64_t n, queued = 0, used_pages = 0, in_root = 0;

	for (n = 0; n < nr_nodes; n++) {
		queued += lru_nodes[n].nr_items;
		in_root += lru_nodes[n].lru.nr_items;
		used_pages += nodes[n].managed - nodes[n].free;
	}
	printf("\"counters\": {\"unqueued\": %" PRId64 ", \"counted\": %" PRId64 ", \"isolated\": %" PRId64
	       ", \"split\": %" PRId64 ", \"queued\": %" PRId64 ", \"in_root\": %" PRId64 ", \"used_pages\": %" PRId64
	       ", \"partially_mapped\": %" PRId64 ", \"thp_deferred_split_page\": %" PRId64
	       ", \"thp_split_page\": %" PRId64 "}",
	       unqueued, counted, isolated, split, queued, in_root, used_pages, nr_partially_mapped, deferred_split_page,
	       split_page);
}

int main(int argc, char **argv)
{
	int64_t rounds, i;
	double first_bytes = 0;
	FILE *file;

	if (argc != 6)
		bug("usage: reference FOLIOS CGROUPS NODES ROUNDS ORDER");
	nr_folios = atoll(argv[1]);
	nr_cgroups = atoll(argv[2]);
	nr_nodes = atoll(argv[3]);
	rounds = atoll(argv[4]);
	folios = allocate(nr_folios, sizeof(*folios));
	order = allocate(nr_folios, sizeof(*order));
	file = fopen(argv[5], "rb");
	if (!file || fread(order, sizeof(*order), nr_folios, file) != (size_t)nr_folios)
		bug("cannot read ORDER");
	fclose(file);
	for (i = 0; i < nr_folios; i++)
		folios[i] = (struct folio *)&folios[i]; /* have the array's own pages present before they are measured */
	printf("{\"rounds\": [");
	for (i = 0; i < rounds; i++) {
		unqueued = isolated = split = counted = 0;
		deferred_split_page = split_page = nr_partially_mapped = mthp_split = mthp_split_deferred = 0;
		run_round();
		if (i == 0)
			first_bytes = bytes_per_folio;
		printf("%s{", i ? ", " : "");
		for (int p = 0; p < NR_PHASES; p++)
			printf("%s\"%s\": %.3f", p ? ", " : "", phase_names[p], nanoseconds[p]);
		printf("}");
		if (i + 1 < rounds) {
			drop_folios();
			drop_machine();
		}
	}
	printf("], \"bytes_per_folio\": %.1f, ", first_bytes);
	print_counters();
	printf("}\n");
	return 0;
}
