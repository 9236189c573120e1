# SPDX-License-Identifier: GPL-2.0-only
"""The agent: performs a scenario's steps on the kernel that it runs on, through that kernel's interfaces.

`python -m thplab.agent` runs as root, inside a guest or on a host. It needs the standard library
and msgspec.
"""
