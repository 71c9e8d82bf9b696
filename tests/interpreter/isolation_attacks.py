"""What code of a session tries against others. Names its attempts, and tells of each the error it met, or ``done``.

``VICTIM`` is a process, ``FOLDER`` a directory with a file ``secret.txt`` and an empty directory ``empty``.
"""

import ctypes
import os
import shutil
import subprocess
import sys

HERE = os.getcwd()
SECRET = os.path.join(FOLDER, "secret.txt")  # noqa: F821
PROC = "/proc/%d" % VICTIM  # noqa: F821
LIBC = ctypes.CDLL(None, use_errno=True)


def through_link():
    link = os.path.join(HERE, "soft")
    os.symlink(SECRET, link)
    try:
        open(link).read()
    finally:
        os.remove(link)


def through_hard_link():
    os.link(SECRET, os.path.join(HERE, "hard"))


def through_child():
    subprocess.run(["cat", SECRET], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def through_program():
    code = "open(%r).read()" % SECRET
    subprocess.run([sys.executable, "-c", code], check=True, stderr=subprocess.PIPE)


def through_fork():
    pid = os.fork()
    if pid == 0:
        try:
            open(SECRET).read()
            os._exit(0)
        except BaseException:
            os._exit(1)
    if os.waitpid(pid, 0)[1] != 0:
        raise PermissionError(13, "in the child")


def through_descriptor():
    folder = os.open(FOLDER, os.O_PATH)  # noqa: F821
    try:
        os.close(os.open("secret.txt", os.O_RDONLY, dir_fd=folder))
    finally:
        os.close(folder)


def through_working_directory():
    os.chdir(FOLDER)  # noqa: F821
    try:
        open("secret.txt").read()
    finally:
        os.chdir(HERE)


def write():
    with open(SECRET, "a") as file:
        file.write("changed")


def ptrace():
    attach, detach = 16, 17
    if LIBC.ptrace(attach, VICTIM, None, None) != 0:  # noqa: F821
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    os.waitpid(VICTIM, 0x40000000)  # noqa: F821
    LIBC.ptrace(detach, VICTIM, None, None)  # noqa: F821


ATTEMPTS = {
    "read": lambda: open(SECRET).read(),
    "list": lambda: os.listdir(FOLDER),  # noqa: F821
    "read through a symbolic link": through_link,
    "read through a hard link": through_hard_link,
    "read through /proc/self/root": lambda: open("/proc/self/root" + SECRET).read(),
    "read through a program": through_child,
    "read through Python": through_program,
    "read through a fork": through_fork,
    "read through a descriptor": through_descriptor,
    "read from its directory": through_working_directory,
    "read the environment": lambda: open(PROC + "/environ", "rb").read(),
    "read the memory": lambda: open(PROC + "/mem", "rb").close(),
    "read a descriptor": lambda: os.readlink(PROC + "/fd/0"),
    "open a descriptor": lambda: open(PROC + "/fd/0", "rb").close(),
    "read through the working directory": lambda: os.listdir(PROC + "/cwd/"),
    "read through the root": lambda: open(PROC + "/root" + SECRET).read(),
    "ptrace": ptrace,
    "write": write,
    "truncate": lambda: os.truncate(SECRET, 0),
    "create": lambda: open(os.path.join(FOLDER, "new.txt"), "w").close(),  # noqa: F821
    "make a directory": lambda: os.mkdir(os.path.join(FOLDER, "new")),  # noqa: F821
    "move in": lambda: (open("mine", "w").close(), os.rename("mine", os.path.join(FOLDER, "mine"))),  # noqa: F821
    "remove a directory": lambda: os.rmdir(os.path.join(FOLDER, "empty")),  # noqa: F821
    "move out": lambda: os.rename(SECRET, os.path.join(HERE, "taken")),
    "remove": lambda: os.remove(SECRET),
    "move away": lambda: os.rename(FOLDER, FOLDER + "-away"),  # noqa: F821
    "remove all": lambda: shutil.rmtree(FOLDER),  # noqa: F821
}
if SIGNALS:  # noqa: F821
    ATTEMPTS["signal"] = lambda: os.kill(VICTIM, 0)  # noqa: F821
    ATTEMPTS["signal its group"] = lambda: os.killpg(os.getpgid(VICTIM), 0)  # noqa: F821


def attempt(action):
    try:
        action()
    except (OSError, subprocess.CalledProcessError) as error:
        return getattr(error, "strerror", None) or type(error).__name__
    return "done"


results = {name: attempt(action) for name, action in ATTEMPTS.items()}
