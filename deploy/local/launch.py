"""Becomes another program that ends with its parent: `python -IS launch.py SIGNAL UID COMMAND…`.

The kernel sends SIGNAL when the parent dies, even by kill -9. A UID other than -1 gives up root first, which Postgres
insists on; what is kept is the right to pass folders such as /root that are closed to others, because home and
binaries may lie there. Only the standard library is used, so that this costs a few milliseconds.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG, PR_SET_KEEPCAPS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 1, 8, 47, 2
CAP_DAC_OVERRIDE = 1
CAPABILITY_VERSION_3 = 0x20080522


def give_up_root(libc: ctypes.CDLL, user: int) -> None:
    """Changes to `user` and keeps CAP_DAC_OVERRIDE across the coming exec where the kernel allows that."""
    libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    kept = 1 << CAP_DAC_OVERRIDE
    sets = (ctypes.c_uint32 * 6)(kept, kept, kept, 0, 0, 0)  # effective, permitted, inheritable: low words, high words
    if libc.capset(header, sets) == 0:
        libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0, 0)


def main() -> None:
    signal_number, user, command = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    parent = os.getppid()
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if user != -1:
            give_up_root(libc, user)
        libc.prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0)  # after the change of user, which would clear it
        if os.getppid() != parent:
            raise SystemExit("the parent ended before its child began")
    os.execv(command[0], command)  # noqa: S606 - becoming that program is the purpose


if __name__ == "__main__":
    main()
