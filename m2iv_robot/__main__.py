"""`python -m m2iv_robot` is `m2iv`."""

import sys

from m2iv_robot.cli import main

sys.exit(main())
