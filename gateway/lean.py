"""Import this first in uplink and web: sqlite-utils takes numpy along where it is installed, 11 MB for nothing."""

import sys

sys.modules["numpy"] = None  # type: ignore[assignment]  # an import of it now fails, and sqlite-utils does without
