import sys

from medlight.cli.options import forget_working_directory

forget_working_directory()

from medlight.cli.main import main  # noqa: E402  # after it, so that no file here hides a package

sys.exit(main())
