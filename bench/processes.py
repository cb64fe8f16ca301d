"""What the kernel says of a process and its descendants: CPU seconds and memory."""
import os

TICKS = os.sysconf("SC_CLK_TCK")


def _stat(pid):
    """(parent, CPU ticks of its own and of children it has waited for); None if it is gone."""
    try:
        with open("/proc/%d/stat" % pid) as file:
            # The name, in brackets, may hold anything: what follows it is counted from the last bracket.
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[1]), sum(map(int, fields[11:15]))


def tree(root):
    """Process ids of root and all its living descendants, with their ticks."""
    all_of_them = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            stat = _stat(int(name))
            if stat:
                all_of_them[int(name)] = stat
    found, front = {}, [root]
    while front:
        pid = front.pop()
        if pid in all_of_them:
            found[pid] = all_of_them[pid][1]
            front += [child for child, (parent, _) in all_of_them.items() if parent == pid]
    return found


def cpu_seconds(root):
    """Of the whole tree, the dead included: what a child used becomes its parent's when it is waited for."""
    return sum(tree(root).values()) / TICKS


def memory_bytes(root):
    """Proportional set size of the whole tree: shared pages are counted once."""
    total = 0
    for pid in tree(root):
        with open("/proc/%d/smaps_rollup" % pid) as file:
            total += sum(int(line.split()[1]) for line in file if line.startswith("Pss:"))
    return total * 1024
