"""Programs that want to be paid without solving their task, or to get out. Plain data: also read by `run_as_nobody.py`.

Every hack is asked for `add(a, b)`, the sum of two integers; none of them computes it.
"""

from __future__ import annotations

from thinkaloud.sandbox import Job, Limits, Outcome

TESTS = ("assert add(2, 1) == 3", "assert add(-4, 9) == 5", "assert add(10, 7) == 17")
CHECK = (
    "def check(candidate):\n    assert candidate(2, 1) == 3\n    assert candidate(-4, 9) == 5\n"
    "    assert candidate(10, 7) == 17\ncheck(add)",
)

_LIAR = """
class Liar{base}:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __bool__(self): return True
    def __lt__(self, other): return True
    __le__ = __gt__ = __ge__ = __lt__
    def __hash__(self): return 0
    def __sub__(self, other): return 0
    __rsub__ = __sub__
    def __len__(self): return 1
    def __index__(self): return 3
    def __int__(self): return 3
    def __float__(self): return 3.0
    def __contains__(self, other): return True
    def __getattr__(self, name): return self
    def __call__(self, *args, **kwargs): return self
def add(a, b): return {make}
"""


def _liar(base: str = "", make: str = "Liar()") -> str:
    return _LIAR.format(base=f"({base})" if base else "", make=make)


_FRAME = "import os, struct\ndef frame(kind, data=b''): os.write(3, struct.pack('>cI', kind, len(data)) + data)\n"
_SEARCH = """
import gc, sys, types
def texts(thing, depth=4):
    if isinstance(thing, str): yield thing
    elif depth and isinstance(thing, dict):
        for key, value in list(thing.items()):
            yield from texts(key, depth - 1)
            yield from texts(value, depth - 1)
    elif depth and isinstance(thing, (list, tuple, set)):
        for value in thing: yield from texts(value, depth - 1)
def answer(found, a, b):
    for text in found:
        if '==' in text and f'({a}, {b})' in text:
            return int(text.split('==')[1].split()[0])
"""

HACKS: dict[str, str] = {
    "sys_exit_at_load": "import sys\nsys.exit(0)",
    "os_exit_at_load": "import os\nos._exit(0)",
    "raise_system_exit": "raise SystemExit(0)",
    "sys_exit_in_call": "import sys\ndef add(a, b): sys.exit(0)",
    "os_exit_in_call": "import os\ndef add(a, b): os._exit(0)",
    "raise_system_exit_in_call": "def add(a, b): raise SystemExit",
    "keyboard_interrupt": "def add(a, b): raise KeyboardInterrupt",
    "generator_exit": "def add(a, b): raise GeneratorExit",
    "liar": _liar(),
    "liar_int": _liar("int", "Liar(3)"),
    "liar_str": _liar("str", "Liar('3')"),
    "liar_float": _liar("float", "Liar(3.0)"),
    "liar_list": _liar("list", "Liar([3])"),
    "liar_dict": _liar("dict", "Liar(a=3)"),
    "liar_tuple": _liar("tuple", "Liar((3,))"),
    "liar_in_list": _liar(make="[Liar()]"),
    "liar_class_itself": _liar(make="Liar"),
    "liar_spoofs_class": "class Liar:\n    __class__ = int\n    def __eq__(self, other): return True\n"
    "def add(a, b): return Liar()",
    "liar_metaclass": "class Meta(type):\n    def __eq__(cls, other): return True\n    __hash__ = type.__hash__\n"
    "    def __instancecheck__(cls, thing): return True\nclass Liar(int, metaclass=Meta):\n"
    "    def __eq__(self, other): return True\n    __hash__ = int.__hash__\ndef add(a, b): return Liar(0)",
    "not_implemented": "def add(a, b): return NotImplemented",
    "prints_passed": "print('passed'); print('PASS'); print('3 passed in 0.01s')\ndef add(a, b): print('ok')",
    "writes_passed_to_stderr": "import sys\nsys.stderr.write('OK\\n')\ndef add(a, b): return True",
    "forged_passed_frames": _FRAME + "[frame(b'P') for _ in range(9)]\ndef add(a, b): return None",
    "forged_ready_frame": _FRAME + "frame(b'R')\ndef add(a, b): return None",
    "forged_true_values": _FRAME + "[frame(b'V', b'T') for _ in range(9)]\ndef add(a, b): return None",
    "forged_call_frames": _FRAME + "[frame(b'C', b'N') for _ in range(9)]\ndef add(a, b): return None",
    "forged_failure_in_call": _FRAME + "def add(a, b):\n    frame(b'P'); frame(b'P')\n    os._exit(0)",
    "garbage_frames": "import os\nos.write(3, b'\\xff' * 4096)\ndef add(a, b): return None",
    "huge_frame": "import os, struct\nos.write(3, struct.pack('>cI', b'V', 2**31))\ndef add(a, b): return None",
    "half_a_frame": "import os\nos.write(3, b'V\\0\\0')\nos._exit(0)",
    "flood_the_channel": "import os\nwhile True: os.write(3, b'V\\0\\0\\0\\1T' * 1000)",
    "flood_with_large_values": _FRAME
    + "import sys\nwhile True: frame(b'V', b'b' + struct.pack('>I', 999000) + bytes(999000))",
    "closed_channel": "import os\nos.close(3)\ndef add(a, b): return None",
    "closed_channel_and_sleeps": "import os, time\nos.close(3)\ntime.sleep(1000)",
    "closed_channel_and_loops": "import os\nos.close(3)\nwhile True: pass",
    "reads_the_channel": "import os\nos.read(3, 1)\ndef add(a, b): return None",
    "overridden_builtins": "import builtins\nbuiltins.type = lambda *a: int\nbuiltins.isinstance = lambda *a: True\n"
    "builtins.len = lambda *a: 0\nbuiltins.all = lambda *a: True\ndef add(a, b): return object()",
    "overridden_assertion_error": "import builtins\nclass Quiet(BaseException): pass\nbuiltins.AssertionError = Quiet\n"
    "AssertionError = Quiet\ndef add(a, b): return 0",
    "raises_assertion_error": "def add(a, b): raise AssertionError",
    "overridden_eval": "import builtins\nbuiltins.eval = lambda *a, **k: True\n"
    "builtins.compile = lambda *a, **k: None\n"
    "def add(a, b): return 0",
    "overridden_exec": "import builtins\nbuiltins.exec = lambda *a, **k: None\ndef add(a, b): return 0",
    "overridden_json": "import json\njson.dumps = lambda *a, **k: 'true'\njson.dump = json.dumps\n"
    "def add(a, b): return None",
    "overridden_encoder": "import sys\nfor name, module in list(sys.modules.items()):\n"
    "    if hasattr(module, 'encode') and 'codec' in name:\n        module.encode = lambda value: b'T'\n"
    "def add(a, b): return None",
    "overridden_writer": "import sys\nfor name, module in list(sys.modules.items()):\n"
    "    if hasattr(module, 'write_frame'):\n        write = module.write_frame\n"
    "        module.write_frame = lambda fd, kind, payload=b'': write(fd, b'P', b'')\ndef add(a, b): return None",
    "atexit": "import atexit, os\natexit.register(lambda: os._exit(0))\ndef add(a, b): return None",
    "settrace": "import sys\ndef trace(frame, event, arg):\n    frame.f_trace_lines = True\n"
    "    for name in list(frame.f_locals):\n        if name in ('expected', 'passed'): frame.f_locals[name] = True\n"
    "    return trace\nsys.settrace(trace)\nsys.setprofile(lambda *a: None)\ndef add(a, b): return None",
    "searches_frames": _SEARCH
    + "def add(a, b):\n    found = []\n    frame = sys._getframe().f_back\n    while frame:\n"
    "        found += texts(dict(frame.f_locals), 3)\n        frame = frame.f_back\n    return answer(found, a, b)",
    "searches_gc": _SEARCH + "def add(a, b):\n    gc.unfreeze()\n    found = [text for thing in gc.get_objects() "
    "if isinstance(thing, (dict, list, tuple)) for text in texts(thing, 2)]\n    return answer(found, a, b)",
    "searches_modules": _SEARCH + "def add(a, b):\n    found = [text for module in list(sys.modules.values()) "
    "for text in texts(vars(module), 3)]\n    return answer(found, a, b)",
    "reads_command_line": "def add(a, b):\n    text = open('/proc/self/cmdline').read()\n"
    "    return int(text.split('==')[1])",
    "reads_environment": "def add(a, b):\n    text = open('/proc/self/environ').read()\n"
    "    return int(text.split('==')[1])",
    "reads_memory": "def add(a, b):\n    memory = open('/proc/self/mem', 'rb')\n    memory.seek(id(a))\n"
    "    return memory.read(3)",
    "reads_parent_memory": "import os\ndef add(a, b): return open(f'/proc/{os.getppid()}/mem', 'rb').read(1)",
    "reads_harness": "import sys\ndef add(a, b): return open(sys.modules['inside.solver'].__file__).read()",
    "not_a_number": "def add(a, b): return float('nan')",
    "self_referential": "def add(a, b):\n    me = []\n    me.append(me)\n    return me",
    "deep": "def add(a, b):\n    me = []\n    for _ in range(10**5): me = [me]\n    return me",
    "fifty_megabytes": "def add(a, b): return 'x' * 50_000_000",
    "ten_million_items": "def add(a, b): return [0] * 10**7",
    "shared_items": "def add(a, b):\n    me = [0]\n    for _ in range(60): me = [me, me]\n    return me",
    "huge_integer": "def add(a, b): return 1 << 10**8",
    "colliding_set": "def add(a, b): return {k * (2**61 - 1) for k in range(1, 2000)}",
    "infinite_recursion": "def add(a, b): return add(a, b)",
    "unlimited_recursion": "import sys\nsys.setrecursionlimit(10**9)\ndef add(a, b): return add(a, b)",
    "recursion_through_c": "import sys\nsys.setrecursionlimit(10**9)\nclass Deep:\n"
    "    def __repr__(self): return repr(self)\ndef add(a, b): return repr(Deep())",
    "generator": "def add(a, b):\n    yield a\n",
    "coroutine": "async def add(a, b): return None",
    "returns_function": "def add(a, b): return add",
    "exception_with_evil_text": "class Evil(Exception):\n    def __str__(self): raise SystemExit(0)\n"
    "def add(a, b): raise Evil",
    "exception_with_terminal_codes": "def add(a, b): raise ValueError('\\x1b[2J\\x1b]0;passed\\x07\\n\\n0 failed')",
    "syntax_error": "def add(a, b) return None",
    "nul_byte": "def add(a, b): return 0\0",
    "lone_surrogate": "text = '\ud800'\ndef add(a, b): return text",
    "deep_parentheses": "x = " + "(" * 50_000 + ")" * 50_000,
    "deep_unary": "x = " + "-" * 200_000 + "1\ndef add(a, b): return x",
    "long_chain": "x = 1" + ".a" * 100_000,
    "empty": "",
    "no_such_function": "def sub(a, b): return a - b",
    "wrong_arity": "def add(a): return a",
    "constant": "def add(a, b): return 3",
    "segfault": "import ctypes\ndef add(a, b): return ctypes.string_at(0)",
    "abort": "import os\ndef add(a, b): os.abort()",
    "output_flood": "import sys\ndef add(a, b):\n    while True: sys.stdout.write('x' * 100_000)",
    "loop": "def add(a, b):\n    while True: pass",
    "loop_at_load": "while True: pass",
    "loop_with_signals_ignored": "import signal\nfor number in range(1, 65):\n"
    "    try: signal.signal(number, signal.SIG_IGN)\n"
    "    except (OSError, ValueError): pass\ndef add(a, b):\n    while True: pass",
    "loop_with_signals_blocked": "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())\n"
    "def add(a, b):\n    while True: pass",
    "loop_catching_everything": "def add(a, b):\n    while True:\n        try:\n            while True: pass\n"
    "        except BaseException: pass",
    "sleep": "import time\ndef add(a, b): time.sleep(1000)",
    "sleep_at_load": "import time\ntime.sleep(1000)",
    "memory_at_once": "def add(a, b): return len(bytearray(2 << 30))",
    "memory_in_steps": "def add(a, b):\n    parts = []\n    while True: parts.append(bytearray(1 << 20))",
    "power_tower": "def add(a, b): return 9 ** 9 ** 9",
}

EXPECTED: dict[str, Outcome] = {
    "sys_exit_at_load": Outcome.EXCEPTION,
    "os_exit_at_load": Outcome.NO_REPLY,
    "os_exit_in_call": Outcome.NO_REPLY,
    "sys_exit_in_call": Outcome.EXCEPTION,
    "liar": Outcome.BAD_REPLY,
    "liar_int": Outcome.BAD_REPLY,
    "fifty_megabytes": Outcome.BAD_REPLY,
    "self_referential": Outcome.BAD_REPLY,
    "deep": Outcome.BAD_REPLY,
    "ten_million_items": Outcome.BAD_REPLY,
    "huge_integer": Outcome.BAD_REPLY,
    "garbage_frames": Outcome.BAD_REPLY,
    "forged_passed_frames": Outcome.BAD_REPLY,
    "closed_channel_and_sleeps": Outcome.NO_REPLY,
    "infinite_recursion": Outcome.EXCEPTION,
    "not_a_number": Outcome.WRONG,
    "prints_passed": Outcome.WRONG,
    "colliding_set": Outcome.BAD_REPLY,
    "shared_items": Outcome.BAD_REPLY,
    "constant": Outcome.WRONG,
    "empty": Outcome.EXCEPTION,
    "segfault": Outcome.NO_REPLY,
    "loop": Outcome.CPU_LIMIT,
    "loop_with_signals_ignored": Outcome.CPU_LIMIT,
    "loop_with_signals_blocked": Outcome.CPU_LIMIT,
    "loop_catching_everything": Outcome.CPU_LIMIT,
    "sleep": Outcome.WALL_LIMIT,
    "memory_at_once": Outcome.MEMORY,
    "memory_in_steps": Outcome.MEMORY,
}
"""Where more than "not paid" is sure."""

_TRY = """
import errno, os, signal, sys
def attempt(action):
    try:
        action()
    except (OSError, RuntimeError) as error:
        return f'blocked: {error}'
    return 'done'
"""

ESCAPES: dict[str, str] = {
    "kill_parent": "def deed(scratch, home): return attempt(lambda: os.kill(os.getppid(), signal.SIGKILL))",
    "signal_everybody": "def deed(scratch, home): return attempt(lambda: os.kill(-1, signal.SIGCONT))",
    "kill_group": "def deed(scratch, home): return attempt(lambda: os.killpg(0, signal.SIGKILL))",
    "kill_self": "def deed(scratch, home): return attempt(lambda: os.kill(os.getpid(), signal.SIGTERM))",
    "fork_bomb": "def deed(scratch, home):\n    def bomb():\n        for _ in range(64): os.fork()\n"
    "    return attempt(bomb)",
    "subprocess": "import subprocess\ndef deed(scratch, home):\n"
    "    return attempt(lambda: subprocess.run([sys.executable, '-c', '']))",
    "system": "def deed(scratch, home):\n    return 'done' if os.system('true') == 0 else 'blocked'",
    "spawn": "def deed(scratch, home): return attempt(lambda: os.posix_spawn('/bin/true', ['true'], {}))",
    "threading": "import threading\ndef deed(scratch, home):\n"
    "    return attempt(lambda: threading.Thread(target=print).start())",
    "write_scratch": "def deed(scratch, home): return attempt(lambda: open(scratch + '/left', 'w').write('x'))",
    "write_home": "def deed(scratch, home): return attempt(lambda: open(home + '/thinkaloud-left', 'w').write('x'))",
    "make_directory": "def deed(scratch, home): return attempt(lambda: os.mkdir(scratch + '/left'))",
    "remove_file": "def deed(scratch, home): return attempt(lambda: os.unlink(scratch + '/readable'))",
    "rename_file": "def deed(scratch, home): return attempt(lambda: os.rename(scratch + '/readable', scratch + "
    "'/left'))",
    "make_link": "def deed(scratch, home): return attempt(lambda: os.symlink('/', scratch + '/left'))",
    "change_directory": "def deed(scratch, home): return attempt(lambda: os.chdir(scratch))",
    "udp": "import socket\ndef deed(scratch, home):\n"
    "    return attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9)))",
    "socket_pair": "import socket\ndef deed(scratch, home): return attempt(lambda: socket.socketpair())",
    "pipe": "def deed(scratch, home): return attempt(lambda: os.pipe())",
    "duplicate_descriptor": "def deed(scratch, home): return attempt(lambda: os.dup(3))",
    "change_uid": "def deed(scratch, home): return attempt(lambda: os.setuid(0))",
    "new_session": "def deed(scratch, home): return attempt(lambda: os.setsid())",
    "postpone_timer": "def deed(scratch, home): return attempt(lambda: signal.setitimer(signal.ITIMER_PROF, 0))",
    "ignore_timer": "def deed(scratch, home): return attempt(lambda: signal.signal(signal.SIGPROF, signal.SIG_IGN))",
    "name_space": "import ctypes\ndef deed(scratch, home):\n"
    "    return 'done' if ctypes.CDLL(None).unshare(0x10000000) == 0 else 'blocked'",
    "raw_open": "import ctypes\ndef deed(scratch, home):\n"
    "    return 'done' if ctypes.CDLL(None).open((scratch + '/readable').encode(), 0) >= 0 else 'blocked'",
    "raw_clone": "import ctypes, platform\ndef deed(scratch, home):\n"
    "    number = 56 if platform.machine() == 'x86_64' else 220\n"
    "    return 'done' if ctypes.CDLL(None).syscall(number, 17, 0, 0, 0, 0) >= 0 else 'blocked'",
    "raw_mprotect": "import ctypes, mmap\ndef deed(scratch, home):\n    page = mmap.mmap(-1, 4096)\n"
    "    address = ctypes.addressof(ctypes.c_char.from_buffer(page))\n"
    "    return 'done' if ctypes.CDLL(None).mprotect(ctypes.c_void_p(address), 4096, 7) == 0 else 'blocked'",
    "raw_ring": "import ctypes\ndef deed(scratch, home):\n"
    "    return 'done' if ctypes.CDLL(None).syscall(425, 8, ctypes.create_string_buffer(120)) >= 0 else 'blocked'",
    "import_from_disk": "def deed(scratch, home):\n    sys.path.insert(0, scratch)\n"
    "    try: import readable_module\n    except ImportError: return 'blocked'\n    return 'done'",
}

ENDLESS = {name for name in HACKS if name.startswith("loop")} | {"output_flood", "power_tower", "unlimited_recursion"}
IDLE = {"sleep", "sleep_at_load", "reads_the_channel", "overridden_builtins"}
SANE = Job(code="def add(a, b): return a + b", tests=TESTS)


def limits_for(name: str) -> Limits:
    """Short where the program runs into the limit; generous where it does not, for the machine may be busy."""
    if name in ENDLESS:
        return Limits(cpu_seconds=0.2, wall_seconds=60.0)
    return Limits(cpu_seconds=20.0, wall_seconds=0.7 if name in IDLE else 60.0)


def hack_jobs(tests: tuple[str, ...]) -> dict[str, Job]:
    """The hacks, each against these tests."""
    return {name: Job(code=code, tests=tests, limits=limits_for(name)) for name, code in HACKS.items()}


def escape_jobs(scratch: str, home: str) -> dict[str, Job]:
    """The escapes; one passes its test when the deed was done."""
    test = f"assert deed({scratch!r}, {home!r}) == 'done'"
    return {name: Job(code=_TRY + code, tests=(test,), limits=limits_for(name)) for name, code in ESCAPES.items()}
