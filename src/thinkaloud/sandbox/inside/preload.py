"""The standard modules that a worker imports before it shuts itself in: a program can import nothing else.

Most of what solutions to small tasks import, and what those modules import lazily (a jailed child cannot open a file).
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import warnings

_NAMES = """
abc argparse array ast base64 binascii bisect builtins calendar cmath codecs collections collections.abc colorsys
 contextlib contextvars copy copyreg csv ctypes dataclasses datetime decimal difflib dis enum errno
fnmatch fractions functools gc getopt glob graphlib hashlib heapq hmac html html.entities inspect io ipaddress
itertools json keyword linecache locale logging math mmap numbers opcode operator os pathlib pickle
platform posixpath pprint queue random re reprlib resource sched secrets select selectors shlex shutil signal socket
stat statistics string struct subprocess sys tempfile textwrap threading time timeit token tokenize traceback types
typing unicodedata unittest urllib.parse uuid warnings weakref zlib _strptime _compat_pickle
encodings.ascii encodings.cp1252 encodings.hex_codec encodings.latin_1 encodings.punycode
encodings.raw_unicode_escape encodings.rot_13 encodings.unicode_escape encodings.utf_16 encodings.utf_16_be
encodings.utf_16_le encodings.utf_32 encodings.utf_8_sig
"""
MODULES = tuple(_NAMES.split())


def preload() -> None:
    """Import them all, and bring lazy parts in by using them once.

    Hooks that modules would have run in every forked child are left out. They mend locks for parents that have threads
    (a worker has none) and seed `random` anew (here it stays at seed 0: a program that guesses guesses the same every
    time); running them touched 180 pages a fork, a third of its cost.
    """
    warnings.simplefilter("ignore")
    register = os.register_at_fork
    os.register_at_fork = lambda **hooks: None
    for name in MODULES:
        with contextlib.suppress(ImportError):  # modules come and go between versions of Python
            importlib.import_module(name)
    os.register_at_fork = register
    sys.modules["random"].seed(0)
    sys.modules["datetime"].datetime.strptime("2000-01-02", "%Y-%m-%d")
    sys.path.clear()
    sys.path_importer_cache.clear()
