"""`python -m recover_nb.cli` is `recover-nb`."""

import sys

from recover_nb.cli.main import main

sys.exit(main())
