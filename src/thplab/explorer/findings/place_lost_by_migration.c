// SPDX-License-Identifier: GPL-2.0-only
/*
 * One huge page with a single touched page is queued as possibly underused. Its task moves it from node 0 to
 * node 1, while another task has the shrinker scan the cgroup. Then nobody finds it on a queue. With an
 * argument, any, the scan is left out, and the new huge page is on the queue of node 1.
 *
 * Run it as root in a virtual machine with two nodes, on a kernel with CONFIG_SHRINKER_DEBUG that holds
 * d3move and d3scan at the places that `thplab findings show place-lost-by-migration` names.
 *
 *	gcc -O1 -static -o place_lost_by_migration place_lost_by_migration.c
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <glob.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define HUGE (2UL << 20)
#define THP "/sys/kernel/mm/transparent_hugepage/"
#define OURS "/sys/fs/cgroup/v"
#define MPOL_BIND 2
#define MPOL_MF_MOVE 2

static char shrinker[256];

static void fail(const char *what)
{
	perror(what);
	exit(2);
}

static void put(const char *path, const char *text)
{
	int file = open(path, O_WRONLY);

	if (file < 0 || write(file, text, strlen(text)) < 0)
		fail(path);
	close(file);
}

static void show(const char *when)
{
	char path[300], line[200];
	FILE *file;

	snprintf(path, sizeof(path), "%s/count", shrinker);
	file = fopen(path, "r");
	printf("%s:", when);
	while (file && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = 0;
		printf(" [%s]", line);
	}
	printf("\n");
	fflush(stdout);
	if (file)
		fclose(file);
}

static void tell(int channel)
{
	if (write(channel, "x", 1) != 1)
		fail("pipe");
}

static void await(int channel)
{
	char byte;

	if (read(channel, &byte, 1) != 1)
		fail("pipe");
}

static void mover(int from, int to)
{
	char *memory = mmap(NULL, 2 * HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *huge = (char *)(((uintptr_t)memory + HUGE - 1) & ~(HUGE - 1));
	unsigned long first_node = 1;
	void *page = huge;
	int node = 1, status = -1;
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", getpid());
	put(OURS "/cgroup.procs", pid);
	if (memory == MAP_FAILED || syscall(SYS_mbind, huge, HUGE, MPOL_BIND, &first_node, 64, 0))
		fail("mbind");
	huge[0] = 1;
	tell(to);
	await(from);
	prctl(PR_SET_NAME, "d3move");
	if (syscall(SYS_move_pages, 0, 1, &page, &node, &status, MPOL_MF_MOVE))
		fail("move_pages");
	printf("the huge page is on node %d\n", status);
	fflush(stdout);
	tell(to);
	await(from);
	exit(0);
}

static void scanner(ino_t cgroup)
{
	char path[300], request[64];

	prctl(PR_SET_NAME, "d3scan");
	snprintf(path, sizeof(path), "%s/scan", shrinker);
	snprintf(request, sizeof(request), "%lu 0 10", (unsigned long)cgroup);
	put(path, request);
	exit(0);
}

int main(int argc, char **argv)
{
	int down[2], up[2];
	struct stat cgroup;
	glob_t found;

	(void)argv;
	put(THP "enabled", "always");
	put(THP "shrink_underused", "1");
	put(THP "khugepaged/scan_sleep_millisecs", "1000000000");
	put(THP "khugepaged/max_ptes_none", "409");
	put("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
	mount("debugfs", "/sys/kernel/debug", "debugfs", 0, NULL); /* it may be there already */
	if (glob("/sys/kernel/debug/shrinker/thp-deferred_split-*", 0, NULL, &found)) {
		fprintf(stderr, "this kernel has no CONFIG_SHRINKER_DEBUG\n");
		return 2;
	}
	snprintf(shrinker, sizeof(shrinker), "%s", found.gl_pathv[0]);
	if (mkdir(OURS, 0755) || stat(OURS, &cgroup) || pipe(down) || pipe(up))
		fail("setting up");
	if (!fork())
		mover(down[0], up[1]);
	await(up[0]);
	show("queued");
	tell(down[1]);
	sleep(1); /* the mover holds the folio's lock now, and sleeps before its look */
	if (argc < 2 && !fork())
		scanner(cgroup.st_ino);
	await(up[0]);
	show("after the move");
	tell(down[1]);
	while (wait(NULL) > 0)
		;
	return 0;
}
