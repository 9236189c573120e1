# SPDX-License-Identifier: GPL-2.0-only
"""A machine: it owns everything that the model has, so that two of them never meet."""

from __future__ import annotations

from collections.abc import Callable

from mypy_extensions import i64

from thplab.cpu.hook import Cpu, Entered
from thplab.cpu.rcu import Rcu
from thplab.mm.alloc_mpol import PolicyAllocator
from thplab.mm.charge import Charges
from thplab.mm.deferred_split import DeferredSplitQueue, NoQueue
from thplab.mm.fork import copy_mm
from thplab.mm.huge_memory import HugeMemory
from thplab.mm.khugepaged import Khugepaged
from thplab.mm.list_lru import ListLrus
from thplab.mm.madvise import Madvise
from thplab.mm.memcontrol import MemCgroup, MemCgroupTree
from thplab.mm.memory import Memory
from thplab.mm.mempolicy import Mempolicy
from thplab.mm.migrate import Migration
from thplab.mm.mlock import Mlock
from thplab.mm.mm_types import Task, Vma
from thplab.mm.mprotect import Mprotect
from thplab.mm.obj_cgroup import ObjCgroups
from thplab.mm.oom_kill import Oom
from thplab.mm.page_alloc import PageAllocator
from thplab.mm.rmap import Rmap
from thplab.mm.shrinker import Shrinkers
from thplab.mm.swap import Lru
from thplab.mm.vmscan import Vmscan
from thplab.mm.vmstat import VmStat

__all__ = ["Machine"]


class Machine:
    """A host with its kernel.

    Args:
        sizes: bytes of each node.
        design: makes the deferred split queue, given the machine; None: one that never queues.
        memcg: "on", "nokmem" or "disabled": how it was booted.
        distances: node distances; None: 10 and 20.

    Attributes:
        cpus: the one that its code runs on, where no explorer brings more.
        log: what its kernel complained about, each text once, with how often; see :meth:`entered`.
        nr_nodes: nodes, numbered from 0.
        tasks: living tasks by name, in the order that they began.
    """

    def __init__(
        self,
        sizes: list[int],
        design: Callable[[Machine], DeferredSplitQueue] | None = None,
        memcg: str = "on",
        distances: list[list[int]] | None = None,
    ) -> None:
        self.cpus: list[Cpu] = [Cpu(0)]
        self.log: dict[str, int] = {}
        self.nr_nodes: i64 = len(sizes)
        self.rcu: Rcu = Rcu()
        self.vmstat: VmStat = VmStat()
        self.shrinkers: Shrinkers = Shrinkers(self)
        self.list_lrus: ListLrus = ListLrus()
        self.objcgs: ObjCgroups = ObjCgroups(self)
        self.memcg: MemCgroupTree = MemCgroupTree(self, memcg)
        self.pages: PageAllocator = PageAllocator(self, sizes, distances)
        self.mempolicy: PolicyAllocator = PolicyAllocator(self)
        self.charges: Charges = Charges(self)
        self.rmap: Rmap = Rmap(self)
        self.lru: Lru = Lru(self)
        self.memory: Memory = Memory(self)
        self.huge_memory: HugeMemory = HugeMemory(self)
        self.khugepaged: Khugepaged = Khugepaged(self)
        self.madvise: Madvise = Madvise(self)
        self.mlock: Mlock = Mlock(self)
        self.mprotect: Mprotect = Mprotect(self)
        self.migration: Migration = Migration(self)
        self.vmscan: Vmscan = Vmscan(self)
        self.oom: Oom = Oom(self)
        self.tasks: dict[str, Task] = {}
        with self.entered():
            self.deferred_split: DeferredSplitQueue = (
                NoQueue(self) if design is None else design(self)
            )
            self.deferred_split.start()

    def entered(self) -> Entered:
        """For a `with` statement: what happens inside happens on this machine's CPU, and what the kernel
        complains about goes to its log. Two machines that are entered by turns share nothing.
        """
        return Entered(self.cpus, self.log)

    # Processes

    def start(self, name: str, memcg: MemCgroup, oom_score_adj: int = 0) -> Task:
        """A new task in the cgroup."""
        if name in self.tasks:
            raise ValueError(f"task {name} exists already")
        task = Task(name, memcg, oom_score_adj)
        memcg.nr_tasks += 1
        self.tasks[name] = task
        return task

    def fork(self, parent: Task, name: str) -> Task:
        """fork(2) (kernel/fork.c, 7.2): the child shares all memory until one of them writes."""
        child = self.start(name, parent.memcg, parent.oom_score_adj)
        child.policy = parent.policy
        child.cpu_nid = parent.cpu_nid
        copy_mm(self, parent, child)
        return child

    def exit(self, task: Task) -> None:
        """exit_mm() (kernel/exit.c, 7.2): everything that the task maps is unmapped; it leaves its cgroup."""
        task.mm.killed = True
        self.khugepaged.khugepaged_exit(task)
        for vma in list(task.mm.vmas.values()):
            self.memory.unmap_vma(vma)
        task.memcg.nr_tasks -= 1
        del self.tasks[task.name]

    def move_task(self, task: Task, memcg: MemCgroup) -> None:
        """cgroup_attach_task() (kernel/cgroup/cgroup.c, 7.2): later charges go to the new cgroup; what is
        charged stays where it is.
        """
        task.memcg.nr_tasks -= 1
        memcg.nr_tasks += 1
        task.memcg = memcg

    def mmap(
        self,
        task: Task,
        name: str,
        nr_pages: int,
        policy: Mempolicy | None = None,
        thp: str = "default",
    ) -> Vma:
        """mmap(2) (arch/x86/kernel/sys_x86_64.c, 7.2): a private anonymous region, aligned to huge pages, with
        what mbind(2) and madvise(2) say of it.
        """
        if name in task.mm.vmas:
            raise ValueError(f"{task.name} has a region {name} already")
        vma = Vma(task.mm, name, nr_pages, policy, thp)
        task.mm.vmas[name] = vma
        return vma

    def teardown(self) -> None:
        """Give all memory back to Python: the model's rings and cycles are not collected by themselves."""
        for task in list(self.tasks.values()):
            for vma in task.mm.vmas.values():
                vma.slots = []
                vma.anon_vma.vmas = []
            task.mm.vmas.clear()
        self.tasks.clear()
        self.khugepaged.mm_head.clear()
        for lru in self.list_lrus.lrus:
            lru.release()
        self.deferred_split.release()
