# SPDX-License-Identifier: GPL-2.0-only
"""Whom the OOM killer picks, and what it frees (mm/oom_kill.c, 7.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mypy_extensions import i64, mypyc_attr

from thplab.mm.memcontrol import MemCgroup
from thplab.mm.mempolicy import MPOL_BIND
from thplab.mm.mm_types import MmStruct, Task
from thplab.mm.vmstat import (
    OOM_KILL,
)

if TYPE_CHECKING:
    from thplab.mm.machine import Machine

__all__ = ["OOM_SCORE_ADJ_MIN", "Oom"]

OOM_SCORE_ADJ_MIN: Final[i64] = -1000
MOST_TIMES: Final[i64] = 63
"""The bits of `second_victims`."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Oom:
    """The OOM killer of one machine.

    Attributes:
        killed: who was killed, in order: (task's name, why).
        second_victims: bit n is set: the nth time, from 0, the killer takes a second task. It looks how much may
            be charged before it chooses, and passes over a victim that has MMF_OOM_SKIP; exit_mmap() sets that
            before it gives the memory back. So it takes another task if the first one ends just then.
    """

    def __init__(self, machine: Machine) -> None:
        self.machine: Machine = machine
        self.killed: list[tuple[str, str]] = []
        self.second_victims: i64 = 0
        self._times: i64 = 0

    def out_of_memory(self, nodemask: list[int] | None) -> bool:
        """out_of_memory(): kill the task that frees most of what is short. False: there is none.

        Args:
            nodemask: the allocation's nodes; a task whose own policy binds it elsewhere is spared.
        """
        if nodemask is None:
            why = "out of memory"
        else:
            why = "out of memory on node " + ", ".join(str(nid) for nid in nodemask)
        candidates = []
        for task in self.machine.tasks.values():
            policy = task.policy
            bound = policy is not None and policy.mode == MPOL_BIND
            if (
                nodemask is not None
                and policy is not None
                and bound
                and not [nid for nid in policy.nodes if nid in nodemask]
            ):
                continue
            candidates.append(task)
        if nodemask is None:
            total = self.machine.pages.totalpages
        else:
            total = 0
            for nid in nodemask:
                total += self.machine.pages.nodes[nid].managed
        return self._kill(candidates, total, why, self.machine.memcg.root, None)

    def mem_cgroup_out_of_memory(self, memcg: MemCgroup, current: MmStruct | None = None) -> bool:
        """mem_cgroup_out_of_memory() (mm/memcontrol.c): the same within the cgroup that is at its limit.

        Args:
            memcg: the cgroup.
            current: of the task that charges; None: another process.
        """
        candidates = [
            task for task in self.machine.tasks.values() if task.memcg.is_descendant(memcg)
        ]
        self.machine.charges.count_event(memcg, "oom")
        why = f"memory cgroup {memcg.path} out of memory"
        return self._kill(candidates, memcg.memory.max, why, memcg, current)

    def badness(self, task: Task, totalpages: i64) -> i64:
        """oom_badness(): base pages it has, and a thousandth of all for each point of oom_score_adj."""
        return task.mm.nr_anon + task.oom_score_adj * (totalpages // 1000)

    def _kill(
        self,
        candidates: list[Task],
        totalpages: i64,
        why: str,
        domain: MemCgroup,
        current: MmStruct | None,
    ) -> bool:
        """Kill one task, or two (see `second_victims`). False: there is none.

        A task that is its own victim ends only after it has come back from the killer.
        """
        twice = self._times < MOST_TIMES and self.second_victims >> self._times & 1 != 0
        self._times += 1
        if not self._kill_worst(candidates, totalpages, why, domain):
            return False
        if twice and (current is None or not current.killed):
            self._kill_worst(candidates, totalpages, why, domain)
        return True

    def _kill_worst(
        self, candidates: list[Task], totalpages: i64, why: str, domain: MemCgroup
    ) -> bool:
        """select_bad_process(), oom_kill_process(): the one with the most points, and its whole cgroup if
        memory.oom.group says so. False: there is none.
        """
        worst: Task | None = None
        points: i64 = 0
        for task in candidates:
            if task.oom_score_adj == OOM_SCORE_ADJ_MIN or task.mm.killed:
                continue
            score = self.badness(task, totalpages)
            if worst is None or score > points:
                worst = task
                points = score
        if worst is None:
            return False
        group = self.oom_group(worst.memcg, domain)
        self._oom_kill_process(worst, why)
        if group is not None:
            self.machine.charges.count_event(group, "oom_group_kill")
            for task in list(self.machine.tasks.values()):
                if task.memcg.is_descendant(group) and task.oom_score_adj != OOM_SCORE_ADJ_MIN:
                    self._oom_kill_process(task, f"{why}; memory.oom.group of {group.path}")
        return True

    def oom_group(self, memcg: MemCgroup, domain: MemCgroup) -> MemCgroup | None:
        """mem_cgroup_get_oom_group() (mm/memcontrol.c): the highest cgroup with memory.oom.group set, from the
        victim's upwards to the one that is short of memory.
        """
        if not memcg.is_descendant(domain):
            return None
        found: MemCgroup | None = None
        position: MemCgroup | None = memcg
        while position is not None:
            if position.oom_group:
                found = position
            if position is domain:
                break
            position = position.parent
        return found

    def _oom_kill_process(self, task: Task, why: str) -> None:
        """__oom_kill_process(): the task ends at once."""
        self.machine.vmstat.count(OOM_KILL)
        self.machine.charges.count_event(task.memcg, "oom_kill")
        self.killed.append((task.name, why))
        self.machine.exit(task)
