"""`python -m hoshikage`."""

import sys

from hoshikage.cli.main import main

sys.exit(main())
