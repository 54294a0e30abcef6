"""The standard modules that a worker imports before it restricts itself: a program can import nothing else.

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
    """Import all modules, and use their lazy parts once.

    Fork hooks of modules are not registered. They repair locks for parents with threads (a worker has none) and reseed
    `random` (here the seed stays 0, so that a guessing program guesses the same every time). Running them touched 180
    pages per fork, a third of its cost.
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
