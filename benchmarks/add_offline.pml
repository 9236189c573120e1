/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A huge page is queued while its cgroup goes offline: the case add-offline of `thplab explore`, as a model
 * written by hand for SPIN, to compare the searches. One process of two CPUs each; a list is a counter; a
 * read section is a counter that the grace period waits to be 0; a spin lock held counts as a section.
 *
 *     spin -a add_offline.pml && cc -O2 -o pan pan.c && ./pan
 */

#define CHILD 0
#define PARENT 1
#define DEAD 100

bool locked[2];          /* the locks of the two lists */
byte items[2];           /* nr_items, or DEAD */
bool linked;             /* the huge page is on a list */
byte list;               /* which */
bool has_bit[2];             /* shrinker bits */
bool dying, erased;      /* CSS_DYING; the child's lists are gone from the xarray */
bool to_parent;          /* the objcg points to the parent */
byte readers;            /* read sections, spin locks included, of the adding CPU */
bool ptl, zone;          /* the page table lock and the zone's, taken by the adding CPU alone */
byte refcount = 1;
bool flagged;
byte done;

inline lock(which)   { atomic { !locked[which] -> locked[which] = true } }
inline unlock(which) { locked[which] = false }

proctype Add() {
    byte memcg, owner;
    ptl = true; readers++;                 /* zap: the page table lock */
    refcount = 2;                          /* split_huge_pmd */
    skip;                                  /* entire_mapcount */
    skip;                                  /* mapcount of the unmapped half */
    if :: !flagged -> skip fi;             /* folio_test_partially_mapped */
    skip;                                  /* folio_test_swapcache */
    readers++;                             /* rcu_read_lock */
    memcg = (to_parent -> PARENT : CHILD); /* folio_memcg */
    readers++;                             /* rcu_read_lock of the lookup */
    owner = memcg;
again:
    skip;                                  /* memcg_kmem_id */
    if
    :: owner == CHILD && erased ->         /* xa_load */
        assert(dying);                     /* css_is_dying */
        owner = PARENT; goto again
    :: else
    fi;
    lock(owner);
    if
    :: items[owner] == DEAD ->
        unlock(owner); assert(dying); owner = PARENT; goto again
    :: else
    fi;
    readers--;
    if :: !flagged -> skip fi;
    flagged = true;
    linked = true; list = owner;           /* list_add_tail */
    items[owner]++;
    if
    :: items[owner] == 1 ->
        readers++; has_bit[owner] = true; readers--
    :: else
    fi;
    skip;                                  /* the node's counter */
    unlock(owner);
    readers--;
    ptl = false; readers--;
    refcount--;
    done++
}

proctype Offline() {
    skip;                                  /* cgroup_mutex */
    dying = true;
    skip;
    readers == 0;                          /* synchronize_rcu */
    skip;                                  /* cgroup_mutex */
    skip;                                  /* CSS_ONLINE */
    skip;                                  /* list_lrus_mutex */
    skip;                                  /* xa_load */
    lock(CHILD);
    skip;                                  /* memcg_kmem_id, xa_load of the parent */
    lock(PARENT);
    if :: linked && list == CHILD -> list = PARENT :: else fi;   /* list_splice */
    if
    :: items[CHILD] != 0 ->
        items[PARENT] = items[PARENT] + items[CHILD];
        has_bit[PARENT] = true
    :: else
    fi;
    items[CHILD] = DEAD;
    unlock(PARENT);
    unlock(CHILD);
    skip;                                  /* xa_lock */
    erased = true;
    skip;
    skip;                                  /* list_lrus_mutex */
    skip;                                  /* css_get of the parent */
    to_parent = true;                      /* objcg */
    skip; skip; skip; skip; skip;          /* css_put, obj_cgroup_put, shrinker_mutex */
    done++
}

init {
    atomic { run Add(); run Offline() }
    done == 2;
    assert(linked && list == PARENT);
    assert(items[PARENT] == 1 && items[CHILD] == DEAD);
    assert(has_bit[PARENT])
}
