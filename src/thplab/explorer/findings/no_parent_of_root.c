// SPDX-License-Identifier: GPL-2.0-only
/*
 * A child makes the first huge page of the cgroup /c. While its fault is held, its parent moves it to the
 * root cgroup and removes /c. Run it as root in a virtual machine, on a kernel in which a task named
 * d1victim sleeps at the place that `thplab findings show no-parent-of-root` names; without the sleep
 * the fault is over long before the parent begins.
 *
 *	gcc -O1 -static -o no_parent_of_root no_parent_of_root.c
 */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define HUGE (2UL << 20)
#define CGROUPS "/sys/fs/cgroup"
#define OURS CGROUPS "/c"

static void fail(const char *what)
{
	perror(what);
	exit(2);
}

static int put(const char *path, const char *text)
{
	int file = open(path, O_WRONLY);
	int done = file < 0 ? -1 : (int)write(file, text, strlen(text));

	if (file >= 0)
		close(file);
	return done < 0 ? -1 : 0;
}

static int move_to(const char *procs, pid_t pid)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", pid);
	return put(procs, text);
}

static void victim(int ready)
{
	char *memory = mmap(NULL, 2 * HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *huge = (char *)(((uintptr_t)memory + HUGE - 1) & ~(HUGE - 1));

	if (memory == MAP_FAILED || move_to(OURS "/cgroup.procs", getpid()))
		fail("victim");
	prctl(PR_SET_NAME, "d1victim");
	if (write(ready, "x", 1) != 1)
		fail("pipe");
	huge[0] = 1;
	printf("the fault returned: the window was not hit\n");
	exit(0);
}

int main(void)
{
	int ready[2], status;
	char byte;
	pid_t pid;

	if (put("/sys/kernel/mm/transparent_hugepage/enabled", "always") ||
	    put(CGROUPS "/cgroup.subtree_control", "+memory") || mkdir(OURS, 0755) || pipe(ready))
		fail("setting up");
	pid = fork();
	if (pid < 0)
		fail("fork");
	if (!pid)
		victim(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		fail("pipe");
	sleep(1); /* the victim is in its fault now, and sleeps there */
	printf("move %d\n", move_to(CGROUPS "/cgroup.procs", pid));
	printf("rmdir %d\n", rmdir(OURS));
	fflush(stdout);
	if (waitpid(pid, &status, 0) != pid)
		fail("waitpid");
	if (WIFSIGNALED(status))
		printf("the victim was killed by signal %d: read the kernel's log\n", WTERMSIG(status));
	return 0;
}
