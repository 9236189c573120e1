// SPDX-License-Identifier: GPL-2.0-only
/*
 * A huge page full of data is queued. While a scan is about to drop it from the queue, its upper half is unmapped.
 * Then it is partially mapped and on no queue, and another scan does not split it. With an argument, any, the first
 * scan is left out, and the other one splits the huge page.
 *
 * Run it as root in a virtual machine, on a kernel with CONFIG_SHRINKER_DEBUG in which a task named f1scan
 * sleeps at the place that `thplab findings show unmap-lost-by-scan` names.
 *
 *	gcc -O1 -static -o unmap_lost_by_scan unmap_lost_by_scan.c
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
#include <sys/wait.h>
#include <unistd.h>

#define HUGE (2UL << 20)
#define THP "/sys/kernel/mm/transparent_hugepage/"
#define OURS "/sys/fs/cgroup/v"

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

static void figure(const char *name)
{
	char path[200], line[64];
	FILE *file;

	snprintf(path, sizeof(path), THP "hugepages-2048kB/stats/%s", name);
	file = fopen(path, "r");
	if (!file)
		return;
	if (fgets(line, sizeof(line), file))
		printf(" %s %ld", name, strtol(line, NULL, 10));
	fclose(file);
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
	if (file)
		fclose(file);
	figure("nr_anon_partially_mapped");
	figure("split");
	printf("\n");
	fflush(stdout);
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

static void owner(int from, int to)
{
	char *memory = mmap(NULL, 2 * HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *huge = (char *)(((uintptr_t)memory + HUGE - 1) & ~(HUGE - 1));
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", getpid());
	put(OURS "/cgroup.procs", pid);
	if (memory == MAP_FAILED)
		fail("mmap");
	memset(huge, 1, HUGE);
	tell(to);
	await(from);
	if (madvise(huge + HUGE / 2, HUGE / 2, MADV_DONTNEED))
		fail("madvise");
	tell(to);
	await(from);
	exit(0);
}

static pid_t scan(const char *name, ino_t cgroup)
{
	char path[300], request[64];
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_NAME, name);
	snprintf(path, sizeof(path), "%s/scan", shrinker);
	snprintf(request, sizeof(request), "%lu 0 10", (unsigned long)cgroup);
	put(path, request);
	exit(0);
}

int main(int argc, char **argv)
{
	int down[2], up[2];
	struct stat cgroup;
	pid_t first = 0;
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
		owner(down[0], up[1]);
	await(up[0]);
	show("queued, whole");
	if (argc < 2)
		first = scan("f1scan", cgroup.st_ino);
	sleep(1); /* the scanner has had its last look at the flag, and sleeps */
	tell(down[1]);
	await(up[0]);
	show("upper half unmapped");
	if (first)
		waitpid(first, NULL, 0);
	show("the scan is done");
	waitpid(scan("again", cgroup.st_ino), NULL, 0);
	show("another scan");
	tell(down[1]);
	while (wait(NULL) > 0)
		;
	return 0;
}
