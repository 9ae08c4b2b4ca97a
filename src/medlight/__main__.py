import sys

from medlight.cli.main import main

sys.exit(main())
