"""What ranks share: tests and scripts of this folder import it by name."""

import sys
from pathlib import Path

# The folder is no package.
sys.path.append(str(Path(__file__).parent))
