# SPDX-License-Identifier: GPL-2.0-only
"""`python -m thplab` is the command `thplab`."""

from thplab.cli import main

raise SystemExit(main())
