"""The library that Pillow decodes compressed TIFFs with, and the lines that it writes to stderr past everybody."""

import ctypes
from functools import cache

from PIL import Image


@cache
def silence_libtiff() -> bool:
    """Keep libtiff from writing what is wrong with a file to stderr; return whether that could be done.

    Nothing is lost: Pillow raises an error beside each such line, and switches libtiff's warnings off the same way. The
    setting is that of the process, for the copy of libtiff that Pillow uses; made once, before our first TIFF is decoded.
    Where Pillow has libtiff linked in, as on Windows, it cannot be reached, and the lines stay.

    >>> import sys
    >>> silence_libtiff() or sys.platform == "win32"
    True
    """
    try:
        # Pillow's module for the sake of its dependency: looking a name up searches both.
        set_handler = ctypes.CDLL(Image.core.__file__).TIFFSetErrorHandler
    except (OSError, AttributeError):
        return False
    set_handler.argtypes, set_handler.restype = [ctypes.c_void_p], ctypes.c_void_p
    set_handler(None)
    return True
