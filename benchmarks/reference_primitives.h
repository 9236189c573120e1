// SPDX-License-Identifier: GPL-2.0-only
/* The C reference, the floor cpu/: lists with their debug checks, locks with owner and interrupt state, RCU. */

#pragma once

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PLAIN, IRQ, IRQSAVE };

struct list_head {
	struct list_head *next, *prev;
};

struct cpu {
	int64_t rcu_nesting, rcu_section, locks_held;
	bool irqs_on;
};

struct spinlock {
	struct cpu *owner;
	bool irqs_saved;
};

static struct cpu boot_cpu = { .irqs_on = true };
static struct cpu *volatile this_cpu = &boot_cpu;

static void bug(const char *what)
{
	fprintf(stderr, "reference: %s\n", what);
	exit(1);
}

static void *allocate(size_t count, size_t size)
{
	void *memory = calloc(count, size);

	if (!memory)
		bug("out of memory");
	return memory;
}

/* Lists: an entry on no list and the head of an empty one point to nothing, as in the model. */

static inline void list_add_tail(struct list_head *item, struct list_head *head)
{
	struct list_head *last = head->prev;

	if (item->next)
		bug("list_add double add");
	if (!last) {
		item->prev = item->next = head;
		head->next = head->prev = item;
		return;
	}
	if (last->next != head)
		bug("list_add corruption");
	item->prev = last;
	item->next = head;
	last->next = item;
	head->prev = item;
}

static inline void list_del_init(struct list_head *item)
{
	struct list_head *prev = item->prev, *next = item->next;

	if (!next || !prev || prev->next != item || next->prev != item)
		bug("list_del corruption");
	if (prev == next) {
		prev->next = prev->prev = NULL;
	} else {
		prev->next = next;
		next->prev = prev;
	}
	item->next = item->prev = NULL;
}

static void list_splice(struct list_head *from, struct list_head *to)
{
	struct list_head *first = from->next, *last = from->prev, *old = to->next;

	if (!first)
		return;
	first->prev = to;
	to->next = first;
	last->next = old ? old : to;
	if (old)
		old->prev = last;
	else
		to->prev = last;
	from->next = from->prev = NULL;
}

/* Locks and read sections. */

static inline void lock(struct spinlock *l, int mode)
{
	struct cpu *cpu = this_cpu;
	bool was_on = cpu->irqs_on;

	if (mode != PLAIN)
		cpu->irqs_on = false;
	if (l->owner)
		bug("recursive locking");
	l->owner = cpu;
	l->irqs_saved = was_on;
	cpu->locks_held++;
}

static inline void unlock(struct spinlock *l, int mode)
{
	struct cpu *cpu = this_cpu;

	if (l->owner != cpu)
		bug("bad unlock balance");
	l->owner = NULL;
	cpu->locks_held--;
	if (mode == IRQ || (mode == IRQSAVE && l->irqs_saved))
		cpu->irqs_on = true;
}

static inline void rcu_read_lock(void)
{
	struct cpu *cpu = this_cpu;

	if (cpu->rcu_nesting++ == 0)
		cpu->rcu_section++;
}

static inline void rcu_read_unlock(void)
{
	if (this_cpu->rcu_nesting-- <= 0)
		bug("rcu_read_unlock() outside of a read section");
}
