"""Import torch on machines where torch_npu is installed but cannot load (no CANN, say).

``import torch`` loads torch_npu by itself and fails for good if that fails. Importing torch_npu
first and letting it fail leaves torch usable, and does only what torch was about to do.
"""

from __future__ import annotations

import importlib.util
import os
import sys

torch_npu_error: str | None = None
"""Why torch_npu did not load when this package was imported; None if it did or was not tried."""


def import_torch() -> None:
    """Import torch; a torch_npu that cannot load is noted in ``torch_npu_error``, not raised."""
    global torch_npu_error
    if "torch" in sys.modules:
        return
    autoload = os.environ.get("TORCH_DEVICE_BACKEND_AUTOLOAD", "1") == "1"
    if autoload and importlib.util.find_spec("torch_npu") is not None:
        try:
            importlib.import_module("torch_npu")
        except Exception as error:
            torch_npu_error = f"{type(error).__name__}: {error}"
            for name in [n for n in sys.modules if n.split(".")[0] == "torch_npu"]:
                del sys.modules[name]
            # Left off: a spawned worker would fail on its own `import torch` otherwise.
            os.environ["TORCH_DEVICE_BACKEND_AUTOLOAD"] = "0"
    importlib.import_module("torch")
