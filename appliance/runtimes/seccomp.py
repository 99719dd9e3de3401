"""The system calls that a hosted server may make: a list of its own, stricter than the engine's. Pure.

What is not named fails with EPERM. Against the engine's default it leaves out what servers do without and ways out of
containers were built from: ptrace and its kin, io_uring, 32-bit programs, and sockets of other families than Unix,
IPv4, IPv6 and netlink.
"""

import json
from functools import cache
from typing import Any

_FILES = """
    access chdir chmod chown close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2 fadvise64 fallocate
    fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync fgetxattr flistxattr flock fremovexattr fsetxattr
    fstat fstatfs fsync ftruncate futimesat getcwd getdents getdents64 getxattr getxattrat inotify_add_watch inotify_init
    inotify_init1 inotify_rm_watch ioctl lchown lgetxattr link linkat listxattr listxattrat llistxattr lremovexattr lseek
    lsetxattr lstat mkdir mkdirat mknod mknodat newfstatat open openat openat2 pread64 preadv preadv2 pwrite64 pwritev
    pwritev2 read readahead readlink readlinkat readv removexattr removexattrat rename renameat renameat2 rmdir sendfile
    setxattr setxattrat splice stat statfs statx symlink symlinkat sync sync_file_range syncfs tee truncate umask unlink
    unlinkat utime utimensat utimes vmsplice write writev
    io_cancel io_destroy io_getevents io_pgetevents io_setup io_submit
"""
_PROCESSES = """
    arch_prctl execve execveat exit exit_group fork getcpu getpgid getpgrp getpid getppid getpriority getrlimit getrusage
    getsid gettid ioprio_get ioprio_set kill landlock_add_rule landlock_create_ruleset landlock_restrict_self pidfd_open
    pidfd_send_signal prctl prlimit64 process_mrelease restart_syscall rseq sched_get_priority_max sched_get_priority_min
    sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval sched_setaffinity
    sched_setattr sched_setparam sched_setscheduler sched_yield seccomp set_robust_list get_robust_list set_tid_address
    setpgid setpriority setrlimit setsid sysinfo tgkill times tkill uname vfork wait4 waitid
    rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait
    rt_tgsigqueueinfo sigaltstack
"""
#: Without a capability none of these changes more than to what the program is already.
_IDENTITY = """
    capget capset getegid geteuid getgid getgroups getresgid getresuid getuid setfsgid setfsuid setgid setgroups setregid
    setresgid setresuid setreuid setuid
"""
_MEMORY = """
    brk cachestat get_mempolicy madvise map_shadow_stack membarrier memfd_create mincore mlock mlock2 mlockall mmap
    mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect remap_file_pages
"""
_WAITING = """
    alarm clock_getres clock_gettime clock_nanosleep epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2
    epoll_wait eventfd eventfd2 futex futex_requeue futex_wait futex_waitv futex_wake getitimer gettimeofday nanosleep
    pause poll ppoll pselect6 select setitimer signalfd signalfd4 time timer_create timer_delete timer_getoverrun
    timer_gettime timer_settime timerfd_create timerfd_gettime timerfd_settime
"""
_TALKING = """
    accept accept4 bind connect getpeername getrandom getsockname getsockopt listen mq_getsetattr mq_notify mq_open
    mq_timedreceive mq_timedsend mq_unlink msgctl msgget msgrcv msgsnd pipe pipe2 recvfrom recvmmsg recvmsg semctl semget
    semop semtimedop sendmmsg sendmsg sendto setsockopt shmat shmctl shmdt shmget shutdown socketpair
"""
ALLOWED = tuple(
    sorted(f"{_FILES} {_PROCESSES} {_IDENTITY} {_MEMORY} {_WAITING} {_TALKING}".split())
)  # fmt: skip
#: AF_UNIX, AF_INET, AF_INET6, and AF_NETLINK, by which programs list their addresses. Not
#: AF_VSOCK, which reaches the machine below, nor AF_ALG and the rare ones, which reach old code.
SOCKET_FAMILIES = (1, 2, 10, 16)
#: Linux's own, and what is asked to read it.
PERSONALITIES = (0x0, 0xFFFFFFFF)
#: Every flag of clone that makes a namespace.
NEW_NAMESPACES = 0x7E020000
ENOSYS = 38
EPERM = 1


def _allow(*names: str, args: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return {"names": list(names), "action": "SCMP_ACT_ALLOW", "args": args or []}


def _argument(value: int, test: str = "SCMP_CMP_EQ") -> list[dict[str, Any]]:
    return [{"index": 0, "value": value, "op": test}]


def profile() -> dict[str, Any]:
    """Return the profile as engines read it."""
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": EPERM,
        "archMap": [
            {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": []},
            {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": []},
        ],
        "syscalls": [
            _allow(*ALLOWED),
            *(_allow("socket", args=_argument(item)) for item in SOCKET_FAMILIES),
            *(_allow("personality", args=_argument(item)) for item in PERSONALITIES),
            _allow("clone", args=_argument(NEW_NAMESPACES, "SCMP_CMP_MASKED_EQ")),
            # Its flags lie in memory, where no filter sees them: programs then take clone.
            {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS, "args": []},
        ],
    }  # fmt: skip


@cache
def security_option() -> str:
    """Return what goes into a container's ``SecurityOpt``."""
    return "seccomp=" + json.dumps(profile(), separators=(",", ":"))
